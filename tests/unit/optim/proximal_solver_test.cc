#include "lambdaml/optim/proximal_solver.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "tests/unit/model/linear_reference.h"
#include "tests/unit/optim/heart_scale.h"

namespace lambdaml::optim {
namespace {

using model::LinearLoss;
using model::LinearObjective;
using model::LinearShape;
using model::testing::MadeData;
using model::testing::MakeData;
using model::testing::MakeParameters;
using model::testing::Reference;

// c·f(x) + (ρ/2)·‖x - a‖² in double.
struct Problem {
  const MadeData& data;
  LinearShape shape;
  LinearLoss loss;
  double data_weight;
  double rho;
  std::vector<float> anchor;

  double Value(const std::vector<float>& x) const {
    double value = data_weight * Reference(data, {0, data.dense.rows()}, shape, loss, x).loss_sum;
    for (size_t i = 0; i < x.size(); ++i) {
      value += 0.5 * rho * std::pow(static_cast<double>(x[i]) - static_cast<double>(anchor[i]), 2);
    }
    return value;
  }

  // ‖∇F‖² / (2ρ) bounds the distance from the minimum: F is ρ-strongly convex.
  double GapBound(const std::vector<float>& x) const {
    const auto reference = Reference(data, {0, data.dense.rows()}, shape, loss, x);
    double norm_sq = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      norm_sq += std::pow(data_weight * reference.gradient[i] +
                              rho * (static_cast<double>(x[i]) - static_cast<double>(anchor[i])),
                          2);
    }
    return norm_sq / (2 * rho);
  }
};

TEST(LbfgsSolver, FindsTheProximalPoint) {
  base::ThreadPool pool(1);
  for (const int n_classes : {2, 4}) {
    const MadeData data = MakeData(400, 15, n_classes, 5);
    const LinearShape shape{15, n_classes, true};
    for (const data::Dataset& dataset : {data.dense, data.sparse}) {
      LinearObjective objective(dataset, data.classes, shape, LinearLoss::kLogistic, pool);
      const auto solver = MakeLbfgsSolver(objective, {.data_weight = 0.01, .tolerance = 1e-5});
      for (const double rho : {0.001, 0.1, 10.0}) {
        const Problem problem{data, shape, LinearLoss::kLogistic,
                              0.01, rho,   MakeParameters(shape.parameter_count(), 8)};
        std::vector<float> x(problem.anchor.size(), 0.0F);
        const ProximalResult result = solver->Solve(rho, problem.anchor, x);
        EXPECT_LE(result.inaccuracy, 1e-5);
        EXPECT_GE(result.passes, static_cast<double>(result.iterations));
        EXPECT_LT(problem.GapBound(x), 1e-6 * problem.Value(x));
        // From there it has little to do.
        EXPECT_LE(solver->Solve(rho, problem.anchor, x).iterations, 1);
      }
    }
  }
}

TEST(SgdSolver, ComesNearTheProximalPoint) {
  base::ThreadPool pool(1);
  for (const int n_classes : {2, 4}) {
    const MadeData data = MakeData(400, 15, n_classes, 5);
    const LinearShape shape{15, n_classes, true};
    for (const data::Dataset& dataset : {data.dense, data.sparse}) {
      LinearObjective objective(dataset, data.classes, shape, LinearLoss::kLogistic, pool);
      for (const double rho : {0.1, 10.0, 1e6}) {
        const Problem problem{data, shape, LinearLoss::kLogistic,
                              0.01, rho,   MakeParameters(shape.parameter_count(), 8)};
        const auto solver = MakeSgdSolver(
            objective,
            {.data_weight = 0.01, .lr = 0.05, .batch_size = 20, .n_epochs = 60, .seed = 3});
        std::vector<float> x(problem.anchor.size(), 0.0F);
        EXPECT_EQ(solver->Solve(rho, problem.anchor, x).iterations, 60);
        std::vector<float> best(x.size(), 0.0F);
        MakeLbfgsSolver(objective, {.data_weight = 0.01, .tolerance = 1e-5})
            ->Solve(rho, problem.anchor, best);
        EXPECT_LT(problem.Value(x), 1.01 * problem.Value(best));
      }
    }
  }
}

TEST(SgdSolver, GivesTheSameForDenseAndSparseRows) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(333, 15, 3, 5, 0.3);
  const LinearShape shape{15, 3, true};
  const std::vector<float> anchor = MakeParameters(shape.parameter_count(), 8);
  std::vector<float> x[2];
  for (const bool dense : {false, true}) {
    LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape,
                              LinearLoss::kLogistic, pool);
    const auto solver = MakeSgdSolver(
        objective, {.data_weight = 1, .lr = 0.1, .batch_size = 10, .n_epochs = 3, .seed = 3});
    x[dense] = MakeParameters(shape.parameter_count(), 9);
    solver->Solve(30, anchor, x[dense]);
    solver->Solve(60, anchor, x[dense]);
  }
  for (size_t i = 0; i < x[0].size(); ++i) EXPECT_NEAR(x[0][i], x[1][i], 1e-5) << i;
}

TEST(DualSolver, ClosesTheDualityGap) {
  base::ThreadPool pool(1);
  for (const int n_classes : {2, 3}) {
    const MadeData data = MakeData(200, 10, n_classes, 5);
    const LinearShape shape{10, n_classes, true};
    for (const data::Dataset& dataset : {data.dense, data.sparse}) {
      LinearObjective objective(dataset, data.classes, shape, LinearLoss::kHinge, pool);
      const auto solver = MakeDualSolver(objective, {.data_weight = 0.01, .tolerance = 1e-4});
      // The dual variables of one call start the next, whatever its ρ and anchor.
      for (const double rho : {0.1, 0.001, 5.0}) {
        const Problem problem{data, shape, LinearLoss::kHinge,
                              0.01, rho,   MakeParameters(shape.parameter_count(), 8)};
        std::vector<float> x(problem.anchor.size(), 0.0F);
        const ProximalResult result = solver->Solve(rho, problem.anchor, x);
        EXPECT_LE(result.inaccuracy, 1e-4);
        EXPECT_GE(result.inaccuracy, -1e-6);
        // No point around is better by more than the gap.
        base::Random random(1);
        for (int trial = 0; trial < 300; ++trial) {
          std::vector<float> other = x;
          const double size = std::pow(10.0, -3 * random.Uniform());
          for (float& value : other) value += static_cast<float>(size * random.Normal());
          EXPECT_GT(problem.Value(other), (1 - 2e-4) * problem.Value(x));
        }
      }
    }
  }
}

TEST(DualSolver, KeepsItsDualVariablesBetweenCalls) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(500, 10, 2, 5);
  const LinearShape shape{10, 2, true};
  LinearObjective objective(data.sparse, data.classes, shape, LinearLoss::kHinge, pool);
  const auto solver = MakeDualSolver(objective, {.data_weight = 0.01, .tolerance = 1e-3});
  std::vector<float> anchor = MakeParameters(shape.parameter_count(), 8);
  std::vector<float> x(anchor.size());
  const int64_t cold = solver->Solve(0.01, anchor, x).iterations;
  anchor[0] += 0.001F;
  const int64_t warm = solver->Solve(0.0101, anchor, x).iterations;
  EXPECT_GT(cold, 5);
  EXPECT_LT(warm, cold / 2);
}

TEST(DualSolver, ReachesLiblinearsObjectiveOnHeartScale) {
  LAMBDAML_NEED_HEART_SCALE(set);
  base::ThreadPool pool(1);
  // liblinear-train -s 3 -c 1 without bias: ½‖w‖² + Σ max(0, 1 - t·w·x); rho = 1, anchor 0.
  for (const data::Dataset& dataset : {set->dense, set->sparse}) {
    LinearObjective objective(dataset, set->classes, {13, 2, false}, LinearLoss::kHinge, pool);
    const auto solver = MakeDualSolver(objective, {.data_weight = 1, .tolerance = 1e-4});
    const std::vector<float> anchor(13, 0.0F);
    std::vector<float> x(13, 0.0F);
    solver->Solve(1, anchor, x);
    double value = objective.Evaluate({0, 270}, x).loss_sum;
    for (const float v : x) value += 0.5 * static_cast<double>(v) * static_cast<double>(v);
    EXPECT_NEAR(value, 96.5, 0.001 * 96.5);
  }
}

TEST(ProximalSolver, WithoutRowsGivesTheAnchor) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(0, 10, 2, 5);
  const LinearShape shape{10, 2, true};
  const std::vector<float> anchor = MakeParameters(shape.parameter_count(), 8);
  for (const data::Dataset& dataset : {data.dense, data.sparse}) {
    LinearObjective objective(dataset, data.classes, shape, LinearLoss::kHinge, pool);
    std::unique_ptr<ProximalSolver> solvers[] = {MakeLbfgsSolver(objective, {}),
                                                 MakeSgdSolver(objective, {.lr = 0.1}),
                                                 MakeDualSolver(objective, {})};
    for (const auto& solver : solvers) {
      std::vector<float> x(anchor.size(), 0.0F);
      solver->Solve(0.5, anchor, x);
      for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], anchor[i], 1e-6);
    }
  }
}

}  // namespace
}  // namespace lambdaml::optim
