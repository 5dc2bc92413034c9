#include <cmath>
#include <vector>

#include "lambdaml/optim/lbfgs.h"
#include "lambdaml/optim/proximal_solver.h"

namespace lambdaml::optim {
namespace {

// F in double; the objective sees x rounded to float32.
class ProximalFunction final : public DifferentiableFunction {
 public:
  ProximalFunction(model::Objective& objective, double data_weight, double rho,
                   std::span<const float> anchor)
      : objective_(objective),
        data_weight_(data_weight),
        rho_(rho),
        anchor_(anchor),
        x_(anchor.size()),
        gradient_(anchor.size()) {}

  double ValueAndGradient(std::span<const double> x, std::span<double> gradient) override {
    for (size_t i = 0; i < x.size(); ++i) x_[i] = static_cast<float>(x[i]);
    const model::LossStats stats = objective_.Gradient({0, objective_.rows()}, x_, gradient_);
    double distance_sq = 0;
    double data_gradient_sq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double distance = x[i] - static_cast<double>(anchor_[i]);
      const double data_gradient = data_weight_ * static_cast<double>(gradient_[i]);
      distance_sq += distance * distance;
      data_gradient_sq += data_gradient * data_gradient;
      gradient[i] = data_gradient + rho_ * distance;
    }
    scale_ = std::sqrt(data_gradient_sq) + rho_ * std::sqrt(distance_sq);
    return data_weight_ * stats.loss_sum + 0.5 * rho_ * distance_sq;
  }

  double GradientScale() const override { return scale_; }

 private:
  model::Objective& objective_;
  double data_weight_;
  double rho_;
  std::span<const float> anchor_;
  std::vector<float> x_;
  std::vector<float> gradient_;
  double scale_ = 1;
};

class LbfgsSolver final : public ProximalSolver {
 public:
  LbfgsSolver(model::Objective& objective, const LbfgsSolverOptions& options)
      : objective_(objective), options_(options) {}

  ProximalResult Solve(double rho, std::span<const float> anchor, std::span<float> x) override {
    ProximalFunction function(objective_, options_.data_weight, rho, anchor);
    std::vector<double> point(x.begin(), x.end());
    const LbfgsResult result = MinimizeLbfgs(
        function, point,
        {.gradient_tolerance = options_.tolerance, .iterations_max = options_.iterations_max});
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(point[i]);
    return {.iterations = result.iterations,
            .passes = static_cast<double>(result.evaluations),
            .inaccuracy = result.relative_gradient};
  }

  void VisitState(wire::State&) override {}

 private:
  model::Objective& objective_;
  LbfgsSolverOptions options_;
};

}  // namespace

std::unique_ptr<ProximalSolver> MakeLbfgsSolver(model::Objective& objective,
                                                const LbfgsSolverOptions& options) {
  return std::make_unique<LbfgsSolver>(objective, options);
}

}  // namespace lambdaml::optim
