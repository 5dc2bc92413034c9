#include <algorithm>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/optim/proximal_solver.h"
#include "lambdaml/optim/scaled_point.h"

namespace lambdaml::optim {
namespace {

class SgdSolver final : public ProximalSolver {
 public:
  SgdSolver(model::Objective& objective, const SgdSolverOptions& options)
      : objective_(objective), options_(options) {}

  ProximalResult Solve(double rho, std::span<const float> anchor, std::span<float> x) override {
    if (objective_.rows() == 0) {  // only the distance is left
      std::ranges::copy(anchor, x.begin());
      return {};
    }
    const double weight = options_.data_weight * static_cast<double>(objective_.rows());
    const double shrink = 1 / (1 + options_.lr * rho / weight);
    model::ScaledDescent* const descent = objective_.scaled_descent();
    ProximalResult result;
    if (descent != nullptr) {
      descent->SetAnchor(anchor);
      result.passes = 1;
    }
    // From here on x holds u = x - a where steps are scaled.
    if (descent != nullptr) Subtract(anchor, x);
    for (int64_t epoch = 0; epoch < options_.n_epochs; ++epoch) {
      RunEpoch(descent, anchor, shrink, x);
      ++result.iterations;
      ++result.passes;
    }
    if (descent != nullptr) {
      for (size_t i = 0; i < x.size(); ++i) x[i] += anchor[i];
    }
    return result;
  }

  void VisitState(wire::State& state) override {
    state.Visit("solver_lr", options_.lr);
    state.Visit("solver_epochs", epochs_run_);
  }

 private:
  static void Subtract(std::span<const float> anchor, std::span<float> x) {
    for (size_t i = 0; i < x.size(); ++i) x[i] -= anchor[i];
  }

  void RunEpoch(model::ScaledDescent* descent, std::span<const float> anchor, double shrink,
                std::span<float> x) {
    const int64_t rows_total = objective_.rows();
    const int64_t batch_size = options_.batch_size == 0 ? rows_total : options_.batch_size;
    const int64_t steps = (rows_total + batch_size - 1) / batch_size;
    ScaledPoint u(x, objective_.penalised());
    for (const int64_t batch :
         base::Permutation(steps, base::MixSeed(options_.seed, epochs_run_++))) {
      const model::RowRange rows = BatchRows(rows_total, batch, batch_size);
      const auto step = static_cast<float>(options_.lr / static_cast<double>(rows.size()));
      if (descent == nullptr) {
        objective_.Descend(rows, step, x);
        const auto factor = static_cast<float>(shrink);
        for (size_t i = 0; i < x.size(); ++i) x[i] = anchor[i] + factor * (x[i] - anchor[i]);
        continue;
      }
      const model::ScaledDescent::Factors scale = u.scale();
      descent->DescendScaled(rows, scale, {step / scale.penalised, step / scale.others}, u.v());
      u.Shrink(shrink, shrink);
    }
    if (descent != nullptr) u.Settle();
  }

  model::Objective& objective_;
  SgdSolverOptions options_;
  uint64_t epochs_run_ = 0;
};

}  // namespace

std::unique_ptr<ProximalSolver> MakeSgdSolver(model::Objective& objective,
                                              const SgdSolverOptions& options) {
  return std::make_unique<SgdSolver>(objective, options);
}

}  // namespace lambdaml::optim
