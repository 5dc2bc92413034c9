#include "lambdaml/optim/local_sgd.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/model/linear_objective.h"

#include "tests/unit/model/linear_reference.h"

namespace lambdaml::optim {
namespace {

using model::LinearLoss;
using model::LinearShape;
using model::testing::MadeData;
using model::testing::MakeData;
using model::testing::MakeParameters;
using model::testing::Reference;

constexpr LinearShape kShape{20, 3, true};
constexpr int64_t kRows = 330;
constexpr int64_t kBatch = 50;

// The header's equations in double.
std::vector<double> SlowEpoch(const MadeData& data, const LocalSgdOptions& options,
                              const LearningRate& lr, int64_t first_step,
                              const std::vector<int64_t>& order, std::vector<double> w,
                              std::vector<double>* velocity) {
  const size_t penalised = static_cast<size_t>(kShape.bias_offset());
  const double lambda = options.regularizer.lambda;
  for (const int64_t batch : order) {
    const double rate = lr.At(first_step++);
    const model::RowRange rows = BatchRows(kRows, batch, options.batch_size);
    if (rows.size() == 0) continue;
    const auto reference = Reference(data, rows, kShape, LinearLoss::kLogistic, w);
    for (size_t i = 0; i < w.size(); ++i) {
      double g = reference.gradient[i] / static_cast<double>(rows.size());
      if (options.regularizer.kind == RegularizerKind::kL2 && i < penalised) g += lambda * w[i];
      (*velocity)[i] = options.momentum * (*velocity)[i] + g;
      w[i] -= rate * (*velocity)[i];
      if (options.regularizer.kind == RegularizerKind::kL1 && i < penalised) {
        w[i] = std::copysign(std::max(0.0, std::abs(w[i]) - rate * lambda), w[i]);
      }
    }
  }
  return w;
}

TEST(LocalSgd, FollowsItsEquations) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(kRows, 20, 3, 5, 0.3);
  const std::vector<int64_t> order = {3, 6, 0, 9, 5, 1, 2, 4};  // 6 is short, 9 has no rows
  for (const RegularizerKind kind :
       {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    for (const double momentum : {0.0, 0.9}) {
      for (const double lambda : {0.01, 3.0}) {
        const LocalSgdOptions options{kBatch, momentum, {kind, lambda}};
        const LearningRate lr(Schedule::kCosine, 0.3, 16);
        const std::vector<float> start = MakeParameters(kShape.parameter_count(), 4);
        std::vector<double> velocity(start.size());
        std::vector<double> expected(start.begin(), start.end());
        for (int64_t epoch = 0; epoch < 2; ++epoch) {
          expected = SlowEpoch(data, options, lr, 8 * epoch, order, expected, &velocity);
        }
        for (const data::Dataset& dataset : {data.dense, data.sparse}) {
          SCOPED_TRACE(std::to_string(static_cast<int>(kind)) + " " + std::to_string(momentum) +
                       " " + std::to_string(lambda) + (dataset.is_dense() ? " dense" : " sparse"));
          model::LinearObjective objective(dataset, data.classes, kShape, LinearLoss::kLogistic,
                                           pool);
          LocalSgd sgd(objective, options);
          std::vector<float> w = start;
          for (int64_t epoch = 0; epoch < 2; ++epoch) {
            EXPECT_EQ(sgd.RunEpoch(lr, 8 * epoch, order, w).rows, kRows);
          }
          for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w[i], expected[i], 1e-4) << i;
        }
      }
    }
  }
}

TEST(LocalSgd, StaysExactWhileTheScaleShrinksOften) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(kRows, 20, 3, 5, 0.3);
  const LocalSgdOptions options{1, 0, {RegularizerKind::kL2, 0.4}};
  const LearningRate lr(Schedule::kConstant, 0.5, 1);
  std::vector<float> w = MakeParameters(kShape.parameter_count(), 4);
  std::vector<double> velocity(w.size());
  const std::vector<int64_t> order = base::Permutation(kRows, 3);
  const std::vector<double> expected =
      SlowEpoch(data, options, lr, 0, order, {w.begin(), w.end()}, &velocity);
  model::LinearObjective objective(data.sparse, data.classes, kShape, LinearLoss::kLogistic, pool);
  LocalSgd(objective, options).RunEpoch(lr, 0, order, w);
  for (size_t i = 0; i < w.size(); ++i) EXPECT_NEAR(w[i], expected[i], 1e-4) << i;
}

TEST(LocalSgd, DoesNothingWithoutRows) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(0, 20, 3, 5);
  for (const data::Dataset& dataset : {data.dense, data.sparse}) {
    model::LinearObjective objective(dataset, data.classes, kShape, LinearLoss::kLogistic, pool);
    std::vector<float> w = MakeParameters(kShape.parameter_count(), 4);
    const std::vector<float> start = w;
    LocalSgd sgd(objective, {10, 0, {RegularizerKind::kL2, 0.1}});
    const std::vector<int64_t> order = {0, 1};
    EXPECT_EQ(sgd.RunEpoch(LearningRate(Schedule::kConstant, 1, 1), 0, order, w).rows, 0);
    EXPECT_EQ(w, start);
  }
}

}  // namespace
}  // namespace lambdaml::optim
