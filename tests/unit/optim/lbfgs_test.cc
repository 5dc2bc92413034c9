#include "lambdaml/optim/lbfgs.h"

#include <cmath>
#include <functional>
#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/base/random.h"
#include "lambdaml/model/linear_objective.h"

#include "tests/unit/optim/heart_scale.h"

namespace lambdaml::optim {
namespace {

class Function final : public DifferentiableFunction {
 public:
  using Call = std::function<double(std::span<const double>, std::span<double>)>;
  explicit Function(Call call) : call_(std::move(call)) {}

  double ValueAndGradient(std::span<const double> x, std::span<double> gradient) override {
    return call_(x, gradient);
  }

 private:
  Call call_;
};

TEST(Lbfgs, FindsTheMinimumOfAnIllConditionedQuadratic) {
  Function quadratic([](std::span<const double> x, std::span<double> gradient) {
    double value = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double curvature = std::pow(10.0, static_cast<double>(i % 5));
      const double distance = x[i] - static_cast<double>(i);
      gradient[i] = curvature * distance;
      value += 0.5 * curvature * distance * distance;
    }
    return value;
  });
  std::vector<double> x(50, 0.0);
  const LbfgsResult result =
      MinimizeLbfgs(quadratic, x, {.gradient_tolerance = 1e-9, .iterations_max = 200});
  EXPECT_TRUE(result.converged);
  EXPECT_LT(result.iterations, 60);
  for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], static_cast<double>(i), 1e-8);
}

TEST(Lbfgs, FindsTheMinimumOfRosenbrocksFunction) {
  Function rosenbrock([](std::span<const double> x, std::span<double> gradient) {
    const double a = 1 - x[0];
    const double b = x[1] - x[0] * x[0];
    gradient[0] = -2 * a - 400 * x[0] * b;
    gradient[1] = 200 * b;
    return a * a + 100 * b * b;
  });
  std::vector<double> x = {-1.2, 1};
  const LbfgsResult result =
      MinimizeLbfgs(rosenbrock, x, {.gradient_tolerance = 1e-9, .iterations_max = 200});
  EXPECT_TRUE(result.converged);
  EXPECT_LT(result.evaluations, 80);
  EXPECT_NEAR(x[0], 1, 1e-8);
  EXPECT_NEAR(x[1], 1, 1e-8);
}

TEST(Lbfgs, GetsAcrossARegionWhereTheFunctionIsInfinite) {
  // -log(1 - x²) - x has its minimum at √2 - 1 and is infinite from 1 on.
  Function barrier([](std::span<const double> x, std::span<double> gradient) {
    if (std::abs(x[0]) >= 1) {
      gradient[0] = std::nan("");
      return std::numeric_limits<double>::infinity();
    }
    gradient[0] = 2 * x[0] / (1 - x[0] * x[0]) - 1;
    return -std::log(1 - x[0] * x[0]) - x[0];
  });
  std::vector<double> x = {-0.999999};
  const LbfgsResult result = MinimizeLbfgs(barrier, x, {.gradient_tolerance = 1e-10});
  EXPECT_TRUE(result.converged);
  EXPECT_NEAR(x[0], std::sqrt(2.0) - 1, 1e-9);
}

TEST(Lbfgs, EndsWhereNoiseHidesProgress) {
  base::Random random(3);
  Function noisy([&](std::span<const double> x, std::span<double> gradient) {
    gradient[0] = static_cast<double>(static_cast<float>(2 * (x[0] - 3))) + 1e-6 * random.Normal();
    return 100 + (x[0] - 3) * (x[0] - 3) + 1e-5 * random.Normal();
  });
  std::vector<double> x = {0};
  const LbfgsResult result =
      MinimizeLbfgs(noisy, x, {.gradient_tolerance = 1e-12, .iterations_max = 100});
  EXPECT_FALSE(result.converged);
  EXPECT_NEAR(x[0], 3, 1e-2);
}

TEST(Lbfgs, StaysWhereTheValueIsNotFinite) {
  Function infinite([](std::span<const double>, std::span<double> gradient) {
    gradient[0] = 1;
    return std::numeric_limits<double>::infinity();
  });
  std::vector<double> x = {7};
  EXPECT_FALSE(MinimizeLbfgs(infinite, x, {}).converged);
  EXPECT_EQ(x[0], 7);
}

TEST(Lbfgs, KeepsToItsLimitOfIterations) {
  Function slope([](std::span<const double> x, std::span<double> gradient) {
    gradient[0] = -1;
    return -x[0];
  });
  std::vector<double> x = {0};
  const LbfgsResult result = MinimizeLbfgs(slope, x, {.iterations_max = 3});
  EXPECT_FALSE(result.converged);
  EXPECT_EQ(result.iterations, 3);
}

// ½‖w‖² + Σ log(1 + exp(-t·(w·x + b))), b not penalised.
class PenalisedLoss final : public DifferentiableFunction {
 public:
  explicit PenalisedLoss(model::Objective& objective) : objective_(objective) {}

  double ValueAndGradient(std::span<const double> x, std::span<double> gradient) override {
    const std::vector<float> w(x.begin(), x.end());
    std::vector<float> data_gradient(w.size());
    double value = objective_.Gradient({0, objective_.rows()}, w, data_gradient).loss_sum;
    for (size_t i = 0; i < x.size(); ++i) {
      const double penalised = objective_.penalised()[i];
      gradient[i] = static_cast<double>(data_gradient[i]) + penalised * x[i];
      value += 0.5 * penalised * x[i] * x[i];
    }
    return value;
  }

 private:
  model::Objective& objective_;
};

TEST(Lbfgs, ReachesTheKnownMinimumOfHeartScale) {
  LAMBDAML_NEED_HEART_SCALE(set);
  base::ThreadPool pool(1);
  for (const data::Dataset& dataset : {set->dense, set->sparse}) {
    model::LinearObjective objective(dataset, set->classes, {13, 2, true},
                                     model::LinearLoss::kLogistic, pool);
    PenalisedLoss function(objective);
    std::vector<double> x(14, 0.0);
    const LbfgsResult result = MinimizeLbfgs(function, x, {.gradient_tolerance = 1e-3});
    EXPECT_TRUE(result.converged);
    EXPECT_LT(result.iterations, 30);
    EXPECT_NEAR(result.value, 94.65522422, 1e-5);
  }
}

}  // namespace
}  // namespace lambdaml::optim
