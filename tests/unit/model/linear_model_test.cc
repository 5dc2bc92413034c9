#include "lambdaml/model/linear_model.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/linear_objective.h"

#include "tests/unit/model/linear_reference.h"

namespace lambdaml::model {
namespace {

using testing::MadeData;
using testing::MakeData;
using testing::MakeParameters;

LinearModel MakeModel(LinearShape shape, LinearLoss loss, bool one_vs_rest = false) {
  LinearModel model{.loss = loss, .one_vs_rest = one_vs_rest, .shape = shape};
  for (int c = 0; c < shape.n_classes; ++c) model.labels.push_back(c);
  model.weights = MakeParameters(shape.parameter_count(), 12);
  return model;
}

TEST(LinearModel, EvaluatesAsTheObjectiveItWasTrainedWith) {
  base::ThreadPool pool(2);
  for (const int n_classes : {2, 5}) {
    for (const LinearLoss loss : {LinearLoss::kLogistic, LinearLoss::kHinge}) {
      const MadeData data = MakeData(3000, 20, n_classes, 7);
      const LinearModel model = MakeModel({20, n_classes, true}, loss);
      LinearObjective objective(data.dense, data.classes, model.shape, loss, pool);
      const LossStats expected = objective.Evaluate({0, 3000}, model.weights);
      for (const data::Dataset& dataset : {data.dense, data.sparse}) {
        const LossStats stats = Evaluate(model, dataset, data.classes, pool);
        EXPECT_EQ(stats.rows, 3000);
        EXPECT_EQ(stats.correct, expected.correct);
        EXPECT_NEAR(stats.loss_sum, expected.loss_sum, 1e-6 * expected.loss_sum);
      }
    }
  }
}

TEST(LinearModel, PredictsClassesAndProbabilities) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(50, 6, 3, 7);
  const LinearModel model = MakeModel({6, 3, true}, LinearLoss::kLogistic);
  const Predictions predictions = Predict(model, data.sparse, pool);
  ASSERT_EQ(predictions.probabilities.size(), 150U);
  double loss = 0;
  int64_t correct = 0;
  for (size_t r = 0; r < 50; ++r) {
    const float* p = &predictions.probabilities[3 * r];
    EXPECT_NEAR(p[0] + p[1] + p[2], 1, 1e-6);
    EXPECT_EQ(std::max_element(p, p + 3) - p, predictions.classes[r]);
    loss -= std::log(static_cast<double>(p[data.classes[r]]));
    correct += predictions.classes[r] == data.classes[r] ? 1 : 0;
  }
  const LossStats stats = Evaluate(model, data.dense, data.classes, pool);
  EXPECT_NEAR(stats.loss_sum, loss, 1e-4);
  EXPECT_EQ(stats.correct, correct);
}

TEST(LinearModel, NormalisesOneVsRestProbabilities) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(10, 4, 3, 7);
  const LinearModel model = MakeModel({4, 3, false}, LinearLoss::kLogistic, true);
  const Predictions predictions = Predict(model, data.dense, pool);
  for (size_t r = 0; r < 10; ++r) {
    double sigmoid[3];
    double total = 0;
    for (size_t k = 0; k < 3; ++k) {
      double s = 0;
      for (size_t j = 0; j < 4; ++j) {
        s += static_cast<double>(data.dense.dense().row(static_cast<int64_t>(r))[j]) *
             static_cast<double>(model.weights[3 * j + k]);
      }
      sigmoid[k] = 1 / (1 + std::exp(-s));
      total += sigmoid[k];
    }
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_NEAR(predictions.probabilities[3 * r + k], sigmoid[k] / total, 1e-6);
    }
  }
}

TEST(LinearModel, HasNoProbabilitiesForTheHingeLoss) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(10, 4, 2, 7);
  EXPECT_TRUE(
      Predict(MakeModel({4, 2, true}, LinearLoss::kHinge), data.dense, pool).probabilities.empty());
}

TEST(LinearModel, ATieIsTheLowestClass) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(10, 4, 3, 7);
  for (const int n_classes : {2, 3}) {
    LinearModel model = MakeModel({4, n_classes, true}, LinearLoss::kHinge);
    std::fill(model.weights.begin(), model.weights.end(), 0.0F);
    EXPECT_THAT(Predict(model, data.dense, pool).classes, ::testing::Each(0));
  }
}

TEST(LinearModel, CountsEntriesBeyondItsFeatures) {
  base::ThreadPool pool(1);
  const MadeData narrow = MakeData(100, 4, 2, 7);
  const MadeData wide = MakeData(100, 9, 2, 7);
  const LinearModel model = MakeModel({4, 2, true}, LinearLoss::kLogistic);
  int64_t beyond = 0;
  for (const int32_t column : wide.sparse.sparse().columns) beyond += column >= 4 ? 1 : 0;
  EXPECT_EQ(Predict(model, wide.sparse, pool).ignored_entries, beyond);
  EXPECT_EQ(Predict(model, wide.dense, pool).ignored_entries, beyond);
  EXPECT_EQ(Predict(model, narrow.dense, pool).ignored_entries, 0);
  // Also fewer features than the model, and no rows at all.
  EXPECT_EQ(
      Predict(MakeModel({20, 2, true}, LinearLoss::kHinge), narrow.dense, pool).classes.size(),
      100U);
  EXPECT_TRUE(Predict(model, MakeData(0, 4, 2, 7).sparse, pool).classes.empty());
}

TEST(LinearModel, RefusesClassesItDoesNotHave) {
  base::ThreadPool pool(1);
  const MadeData data = MakeData(2, 4, 2, 7);
  const LinearModel model = MakeModel({4, 2, true}, LinearLoss::kLogistic);
  EXPECT_THROW(Evaluate(model, data.dense, std::vector<int32_t>{0, 2}, pool), base::Error);
  EXPECT_THROW(Evaluate(model, data.dense, std::vector<int32_t>{0, -1}, pool), base::Error);
  EXPECT_THROW(Evaluate(model, data.dense, std::vector<int32_t>{0}, pool), base::Error);
}

}  // namespace
}  // namespace lambdaml::model
