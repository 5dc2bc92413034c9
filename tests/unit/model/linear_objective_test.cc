#include "lambdaml/model/linear_objective.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "lambdaml/base/error.h"

#include "tests/unit/model/linear_reference.h"

namespace lambdaml::model {
namespace {

using testing::MadeData;
using testing::MakeData;
using testing::MakeParameters;
using testing::Reference;
using testing::ReferenceResult;

constexpr double kUnit = 0x1p-24;

struct Case {
  int64_t rows;
  int64_t n_features;
  int n_classes;
  LinearLoss loss;
  bool bias;
};

std::string Describe(const Case& c, bool dense) {
  return std::to_string(c.rows) + " rows, " + std::to_string(c.n_features) + " features, " +
         std::to_string(c.n_classes) + " classes, " +
         (c.loss == LinearLoss::kLogistic ? "logistic" : "hinge") +
         (c.bias ? ", bias" : ", no bias") + (dense ? ", dense" : ", sparse");
}

std::vector<Case> AllCases() {
  std::vector<Case> cases;
  for (const int64_t rows : {0, 1, 5, 129, 700}) {
    for (const int64_t n_features : {1, 3, 7, 8, 9, 28, 33, 200, 784}) {
      for (const int n_classes : {2, 3, 10}) {
        for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
          cases.push_back({rows, n_features, n_classes, loss, (rows + n_features) % 3 != 0});
        }
      }
    }
  }
  return cases;
}

// A hinge has a step where 1 - t·s = 0; scores there may fall on either side. Made-up data does not
// hit it within the rounding of a score.
void ExpectNear(const ReferenceResult& expected, const LossStats& stats,
                const std::vector<float>& gradient, const Case& c) {
  const double n = static_cast<double>(c.n_features);
  const double score_error = (n + 5) * kUnit * expected.score_scale;
  EXPECT_EQ(stats.rows, c.rows);
  EXPECT_EQ(stats.correct, expected.correct);
  EXPECT_NEAR(
      stats.loss_sum, expected.loss_sum,
      static_cast<double>(c.rows) * (score_error * c.n_classes + 1e-6) + 1e-6 * expected.loss_sum);
  for (size_t i = 0; i < gradient.size(); ++i) {
    ASSERT_NEAR(gradient[i], expected.gradient[i],
                (score_error + 140 * kUnit) * expected.gradient_scale[i] +
                    kUnit * std::abs(expected.gradient[i]))
        << "parameter " << i;
  }
}

TEST(LinearObjective, AgreesWithTheSlowReferenceForOddSizes) {
  base::ThreadPool pool(1);
  for (const Case& c : AllCases()) {
    const MadeData data = MakeData(c.rows, c.n_features, c.n_classes, 17);
    const LinearShape shape{c.n_features, c.n_classes, c.bias};
    const std::vector<float> w = MakeParameters(shape.parameter_count(), 5);
    const ReferenceResult expected = Reference(data, {0, c.rows}, shape, c.loss, w);
    for (const bool dense : {true, false}) {
      SCOPED_TRACE(Describe(c, dense));
      LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape, c.loss,
                                pool);
      std::vector<float> gradient(w.size(), std::numeric_limits<float>::quiet_NaN());
      ExpectNear(expected, objective.Gradient({0, c.rows}, w, gradient), gradient, c);
      const LossStats evaluated = objective.Evaluate({0, c.rows}, w);
      EXPECT_DOUBLE_EQ(evaluated.loss_sum, objective.Gradient({0, c.rows}, w, gradient).loss_sum);
      EXPECT_EQ(evaluated.correct, expected.correct);
      std::vector<float> descended = w;
      objective.Descend({0, c.rows}, 0.25F, descended);
      for (size_t i = 0; i < w.size(); ++i) {
        const double scale = 0.25 * expected.gradient_scale[i] + std::abs(w[i]);
        ASSERT_NEAR(descended[i], w[i] - 0.25 * expected.gradient[i],
                    (static_cast<double>(c.n_features + c.rows) + 140) * kUnit *
                        (1 + expected.score_scale) * scale)
            << "parameter " << i;
      }
    }
  }
}

TEST(LinearObjective, GradientIsTheFiniteDifferenceOfTheLoss) {
  base::ThreadPool pool(1);
  for (const int n_classes : {2, 3, 10}) {
    for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
      const LinearShape shape{7, n_classes, true};
      const MadeData data = MakeData(40, 7, n_classes, 3);
      const std::vector<float> w = MakeParameters(shape.parameter_count(), 9);
      for (const bool dense : {true, false}) {
        LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape, loss,
                                  pool);
        std::vector<float> gradient(w.size());
        objective.Gradient({0, 40}, w, gradient);
        for (size_t i = 0; i < w.size(); ++i) {
          constexpr double kStep = 1e-6;
          std::vector<double> up(w.begin(), w.end());
          std::vector<double> down = up;
          up[i] += kStep;
          down[i] -= kStep;
          const double difference = (Reference(data, {0, 40}, shape, loss, up).loss_sum -
                                     Reference(data, {0, 40}, shape, loss, down).loss_sum) /
                                    (2 * kStep);
          EXPECT_NEAR(gradient[i], difference, 2e-5) << "parameter " << i;
        }
      }
    }
  }
}

TEST(LinearObjective, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const int n_classes : {2, 3}) {
    for (const bool dense : {true, false}) {
      const LinearShape shape{33, n_classes, true};
      const MadeData data = MakeData(5000, 33, n_classes, 21);
      const std::vector<float> w = MakeParameters(shape.parameter_count(), 2);
      std::vector<float> first_gradient;
      std::vector<float> first_w;
      double first_loss = 0;
      for (const int threads : {1, 2, 3}) {
        base::ThreadPool pool(threads);
        LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape,
                                  LinearLoss::kLogistic, pool);
        std::vector<float> gradient(w.size());
        std::vector<float> descended = w;
        const double loss = objective.Gradient({3, 4990}, w, gradient).loss_sum;
        objective.Descend({3, 4990}, 1e-3F, descended);
        if (threads == 1) {
          first_gradient = gradient;
          first_w = descended;
          first_loss = loss;
        }
        EXPECT_EQ(gradient, first_gradient) << threads;
        EXPECT_EQ(descended, first_w) << threads;
        EXPECT_EQ(loss, first_loss) << threads;
      }
    }
  }
}

TEST(LinearObjective, WorksOnPartsOfTheRows) {
  base::ThreadPool pool(2);
  const LinearShape shape{28, 2, true};
  const MadeData data = MakeData(1000, 28, 2, 4);
  const std::vector<float> w = MakeParameters(shape.parameter_count(), 8);
  for (const bool dense : {true, false}) {
    LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape,
                              LinearLoss::kLogistic, pool);
    for (const RowRange rows : {RowRange{0, 0}, RowRange{1000, 1000}, RowRange{999, 1000},
                                RowRange{13, 300}, RowRange{0, 8}}) {
      const ReferenceResult expected = Reference(data, rows, shape, LinearLoss::kLogistic, w);
      std::vector<float> gradient(w.size(), 1.0F);
      ExpectNear(expected, objective.Gradient(rows, w, gradient), gradient,
                 {rows.size(), 28, 2, LinearLoss::kLogistic, true});
    }
  }
}

TEST(LinearObjective, TakesDataWithFewerFeaturesThanTheModel) {
  base::ThreadPool pool(1);
  const LinearShape shape{50, 3, true};
  const MadeData data = MakeData(200, 9, 3, 4);
  const std::vector<float> w = MakeParameters(shape.parameter_count(), 8);
  const ReferenceResult expected = Reference(data, {0, 200}, shape, LinearLoss::kLogistic, w);
  for (const bool dense : {true, false}) {
    LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape,
                              LinearLoss::kLogistic, pool);
    std::vector<float> gradient(w.size(), 1.0F);
    ExpectNear(expected, objective.Gradient({0, 200}, w, gradient), gradient,
               {200, 50, 3, LinearLoss::kLogistic, true});
  }
}

TEST(LinearObjective, HasFiniteLossesForExtremeScores) {
  base::ThreadPool pool(1);
  for (const int n_classes : {2, 4}) {
    for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
      const LinearShape shape{2, n_classes, true};
      const MadeData data = MakeData(64, 2, n_classes, 4);
      std::vector<float> w(static_cast<size_t>(shape.parameter_count()));
      for (size_t i = 0; i < w.size(); ++i) w[i] = i % 2 == 0 ? 1e30F : -1e30F;
      for (const bool dense : {true, false}) {
        LinearObjective objective(dense ? data.dense : data.sparse, data.classes, shape, loss,
                                  pool);
        std::vector<float> gradient(w.size());
        const LossStats stats = objective.Gradient({0, 64}, w, gradient);
        EXPECT_TRUE(std::isfinite(stats.loss_sum));
        EXPECT_GT(stats.loss_sum, 1e29);
        for (const float g : gradient) EXPECT_TRUE(std::isfinite(g));
      }
    }
  }
}

TEST(LinearObjective, ShowsADivergedModelInTheLoss) {
  base::ThreadPool pool(1);
  const LinearShape shape{2, 2, true};
  const MadeData data = MakeData(64, 2, 2, 4);
  const std::vector<float> w(3, std::numeric_limits<float>::quiet_NaN());
  for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
    LinearObjective objective(data.dense, data.classes, shape, loss, pool);
    EXPECT_TRUE(std::isnan(objective.Evaluate({0, 64}, w).loss_sum));
  }
}

TEST(LinearObjective, DescendsAtAScaledPointAsAtThePlainOne) {
  base::ThreadPool pool(2);
  for (const int n_classes : {2, 3}) {
    const LinearShape shape{40, n_classes, true};
    const MadeData data = MakeData(500, 40, n_classes, 6, 0.2);
    LinearObjective objective(data.sparse, data.classes, shape, LinearLoss::kLogistic, pool);
    const std::vector<float> anchor = MakeParameters(shape.parameter_count(), 1);
    std::vector<float> v = MakeParameters(shape.parameter_count(), 2);
    const ScaledDescent::Factors scale{0.25F, 0.5F};
    const auto point = [&] {
      std::vector<float> w(v.size());
      for (size_t i = 0; i < v.size(); ++i) {
        w[i] = anchor[i] + (objective.penalised()[i] > 0 ? scale.penalised : scale.others) * v[i];
      }
      return w;
    };
    std::vector<float> expected = point();
    ScaledDescent* scaled = objective.scaled_descent();
    ASSERT_NE(scaled, nullptr);
    scaled->SetAnchor(anchor);
    const LossStats a = scaled->DescendScaled({10, 400}, scale, {0.04F, 0.02F}, v);
    const LossStats b = objective.Descend({10, 400}, 0.01F, expected);
    EXPECT_NEAR(a.loss_sum, b.loss_sum, 1e-4);
    const std::vector<float> moved = point();
    for (size_t i = 0; i < moved.size(); ++i) EXPECT_NEAR(moved[i], expected[i], 2e-5) << i;
  }
}

TEST(LinearObjective, BoundsTheCurvature) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(30, 5, 2, 6);
  double squares = 0;
  for (int64_t r = 10; r < 20; ++r) {
    for (int64_t j = 0; j < 5; ++j) squares += std::pow(data.dense.dense().row(r)[j], 2);
  }
  for (const bool dense : {true, false}) {
    const auto bound = [&](int n_classes, bool bias, LinearLoss loss) {
      LinearObjective objective(dense ? data.dense : data.sparse, data.classes,
                                {5, n_classes, bias}, loss, pool);
      return objective.CurvatureBound({10, 20});
    };
    EXPECT_NEAR(bound(2, false, LinearLoss::kLogistic), squares / 4, 1e-4);
    EXPECT_NEAR(bound(2, true, LinearLoss::kLogistic), (squares + 10) / 4, 1e-4);
    EXPECT_NEAR(bound(3, true, LinearLoss::kLogistic), (squares + 10) / 2, 1e-4);
    EXPECT_NEAR(bound(2, false, LinearLoss::kHinge), squares, 1e-4);
  }
}

TEST(LinearObjective, LeavesTheBiasUnpenalised) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(3, 2, 3, 6);
  LinearObjective with(data.dense, data.classes, {2, 3, true}, LinearLoss::kHinge, pool);
  EXPECT_THAT(with.penalised(), ::testing::ElementsAre(1, 1, 1, 1, 1, 1, 0, 0, 0));
  LinearObjective without(data.dense, data.classes, {2, 3, false}, LinearLoss::kHinge, pool);
  EXPECT_THAT(without.penalised(), ::testing::ElementsAre(1, 1, 1, 1, 1, 1));
}

TEST(LinearObjective, RefusesDataThatDoNotFitTheShape) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(3, 5, 2, 6);
  const auto refuse = [&](std::vector<int32_t> classes, LinearShape shape) {
    try {
      LinearObjective objective(data.dense, classes, shape, LinearLoss::kLogistic, pool);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      return error.message();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refuse({0, 1, 1}, {4, 2, true}), "the data have 5 features but the model only 4");
  EXPECT_EQ(refuse({0, 1}, {5, 2, true}), "2 class labels for 3 rows");
  EXPECT_EQ(refuse({0, 2, 1}, {5, 2, true}), "row 1: class 2 is outside [0, 2)");
  EXPECT_EQ(refuse({0, 0, 0}, {5, 1, true}), "a linear model needs 2 or more classes, not 1");
}

}  // namespace
}  // namespace lambdaml::model
