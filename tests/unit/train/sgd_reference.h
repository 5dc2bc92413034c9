// Mini-batch SGD in double by docs/algorithms.md's equations, on all rows at once.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "lambdaml/optim/regularizer.h"
#include "lambdaml/wire/job.h"

#include "tests/unit/train/least_squares.h"

namespace lambdaml::train {

// η_t.
inline double ReferenceRate(const wire::Job& job, int64_t step, int64_t steps_total) {
  const auto t = static_cast<double>(step);
  switch (job.lr_schedule) {
    case wire::LrSchedule::kConstant:
      return *job.lr;
    case wire::LrSchedule::kStep:
      return *job.lr * (4 * step >= 3 * steps_total ? 0.01 : 2 * step >= steps_total ? 0.1 : 1);
    case wire::LrSchedule::kInverseSqrt:
      return *job.lr / std::sqrt(1 + t);
    case wire::LrSchedule::kCosine:
      break;
  }
  return *job.lr * (1 + std::cos(M_PI * t / static_cast<double>(steps_total))) / 2;
}

struct ReferenceRun {
  std::vector<double> w;
  std::vector<double> losses;  // Σ loss of each epoch's rows, at the parameters their step saw
};

// Epoch e visits the batches orders[e]; batch k is rows [k·batch_rows, (k+1)·batch_rows).
inline ReferenceRun ReferenceSgd(const LeastSquaresData& data, const wire::Job& job,
                                 const optim::Regularizer& regularizer, size_t batch_rows,
                                 const std::vector<std::vector<int64_t>>& orders) {
  ReferenceRun run{std::vector<double>(data.n_features, 0.0), {}};
  std::vector<double> velocity(data.n_features, 0.0);
  const auto steps_total = static_cast<int64_t>(orders.size() * orders.front().size());
  int64_t step = 0;
  for (const std::vector<int64_t>& order : orders) {
    run.losses.push_back(0);
    for (const int64_t batch : order) {
      const double rate = ReferenceRate(job, step++, steps_total);
      const size_t begin = static_cast<size_t>(batch) * batch_rows;
      const size_t end = std::min(data.rows(), begin + batch_rows);
      std::vector<double> gradient(data.n_features, 0.0);
      for (size_t r = begin; r < end; ++r) {
        const double residual = Residual(data, r, run.w);
        run.losses.back() += 0.5 * residual * residual;
        for (size_t j = 0; j < gradient.size(); ++j) {
          gradient[j] += residual * data.x[r][j] / static_cast<double>(end - begin);
        }
      }
      for (size_t j = 0; j < gradient.size(); ++j) {
        const bool l2 = regularizer.kind == optim::RegularizerKind::kL2;
        const bool l1 = regularizer.kind == optim::RegularizerKind::kL1;
        velocity[j] =
            *job.momentum * velocity[j] + gradient[j] + (l2 ? regularizer.lambda * run.w[j] : 0);
        run.w[j] -= rate * velocity[j];
        if (l1) run.w[j] = SoftThreshold(run.w[j], rate * regularizer.lambda);
      }
    }
  }
  return run;
}

}  // namespace lambdaml::train
