#include "lambdaml/train/evaluation.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/model/linear_model_file.h"

#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

// s = w·x + 0.25: positive speaks for class 1.
model::LinearModel BinaryModel(const std::vector<double>& labels) {
  return {.shape = {2, 2, true}, .labels = labels, .weights = {0.5F, -1.0F, 0.25F}};
}

// Rows of two features, four columns wide where `wide` values are given.
data::Dataset Rows(const std::vector<std::vector<float>>& rows, const std::vector<double>& labels,
                   bool dense) {
  data::DenseBuilder builder(static_cast<int64_t>(rows.front().size()));
  for (size_t r = 0; r < rows.size(); ++r) {
    std::copy(rows[r].begin(), rows[r].end(), builder.AppendRow(labels[r]));
  }
  const data::Dataset dataset = std::move(builder).Finish();
  return dense ? dataset : data::ToSparse(dataset);
}

double LogisticLoss(double margin) { return std::log1p(std::exp(-margin)); }

TEST(EvaluateModel, LabelsOfAModelMayStandInAnyOrder) {
  // Scores 0.25, 1.25 and −1.75.
  const std::vector<std::vector<float>> rows = {{0, 0}, {2, 0}, {0, 2}};
  for (const bool dense : {true, false}) {
    const data::Dataset dataset = Rows(rows, {3, -5, -5}, dense);
    const Evaluation ascending = EvaluateModel(BinaryModel({-5, 3}), dataset);
    EXPECT_EQ(ascending.rows, 3);
    EXPECT_NEAR(ascending.accuracy, 2.0 / 3, 1e-12);
    EXPECT_NEAR(ascending.loss, (LogisticLoss(0.25) + LogisticLoss(-1.25) + LogisticLoss(1.75)) / 3,
                1e-6);
    const Evaluation descending = EvaluateModel(BinaryModel({3, -5}), dataset);
    EXPECT_NEAR(descending.accuracy, 1.0 / 3, 1e-12);
    EXPECT_NEAR(descending.loss,
                (LogisticLoss(-0.25) + LogisticLoss(1.25) + LogisticLoss(-1.75)) / 3, 1e-6);
  }
}

TEST(EvaluateModel, ALabelThatTheModelDoesNotKnowIsNamedWithTheModels) {
  try {
    EvaluateModel(BinaryModel({-1, 1}), Rows({{0, 0}, {0, 0}}, {1, 2.5}, true));
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    EXPECT_THAT(error.message(), HasSubstr("row 2 has the label 2.5"));
    EXPECT_THAT(error.message(), HasSubstr("-1, 1"));
  }
}

TEST(EvaluateModel, FeaturesThatTheModelHasNotSeenAreCountedAndLeftOut) {
  const std::vector<double> labels = {1, -1};
  for (const bool dense : {true, false}) {
    const data::Dataset wide = Rows({{2, 0, 7, 0}, {0, 2, 3, 4}}, labels, dense);
    const Evaluation evaluation = EvaluateModel(BinaryModel({-1, 1}), wide);
    EXPECT_EQ(evaluation.ignored_entries, 3);
    EXPECT_EQ(CountUnseenEntries(BinaryModel({-1, 1}), wide), 3);
    const data::Dataset known = Rows({{2, 0}, {0, 2}}, labels, dense);
    EXPECT_EQ(EvaluateModel(BinaryModel({-1, 1}), known).ignored_entries, 0);
    EXPECT_EQ(EvaluateModel(BinaryModel({-1, 1}), known).loss, evaluation.loss);
    const data::Dataset narrow = Rows({{2}, {0}}, labels, dense);
    EXPECT_EQ(EvaluateModel(BinaryModel({-1, 1}), narrow).rows, 2);
  }
}

class WarmStartTest : public testing::Test {
 protected:
  std::string Save(const model::LinearModel& model) const {
    const std::string path = folder_.path() + "/start.model";
    base::WriteFileAtomic(path, base::AsBytes(model::FormatLinearModel(model)));
    return path;
  }

  void ExpectRefusal(const model::LinearModel& model, const model::LinearShape& shape,
                     const std::vector<double>& labels, const std::string& message) const {
    const std::string path = Save(model);
    try {
      WarmStart(path, shape, labels);
      ADD_FAILURE() << "no error: " << message;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), HasSubstr("--init_model " + path));
      EXPECT_THAT(error.message(), HasSubstr(message));
    }
  }

 private:
  const TemporaryFolder folder_;
};

TEST_F(WarmStartTest, TakesTheParametersOfTheSameShape) {
  EXPECT_EQ(WarmStart(Save(BinaryModel({-1, 1})), {2, 2, true}, {-1, 1}),
            (std::vector<float>{0.5F, -1.0F, 0.25F}));
}

TEST_F(WarmStartTest, NewFeaturesAndANewBiasStartAtZero) {
  EXPECT_EQ(WarmStart(Save(BinaryModel({-1, 1})), {4, 2, true}, {-1, 1}),
            (std::vector<float>{0.5F, -1.0F, 0, 0, 0.25F}));
  const model::LinearModel without_bias = {
      .shape = {2, 2, false}, .labels = {-1, 1}, .weights = {0.5F, -1.0F}};
  EXPECT_EQ(WarmStart(Save(without_bias), {3, 2, true}, {-1, 1}),
            (std::vector<float>{0.5F, -1.0F, 0, 0}));
  const model::LinearModel of_three = {
      .shape = {1, 3, true}, .labels = {1, 2, 3}, .weights = {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(WarmStart(Save(of_three), {2, 3, true}, {1, 2, 3}),
            (std::vector<float>{1, 2, 3, 0, 0, 0, 4, 5, 6}));
}

TEST_F(WarmStartTest, RefusesWhatDoesNotFit) {
  const model::LinearModel model = BinaryModel({-1, 1});
  ExpectRefusal(model, {2, 2, true}, {0, 1}, "its labels are -1, 1, those of the data 0, 1");
  ExpectRefusal(model, {2, 3, true}, {-1, 1, 2}, "its labels are -1, 1");
  ExpectRefusal(BinaryModel({1, -1}), {2, 2, true}, {-1, 1}, "its labels are 1, -1");
  ExpectRefusal(model, {1, 2, true}, {-1, 1}, "it has 2 features, the data 1; give --n_features 2");
  ExpectRefusal(model, {2, 2, false}, {-1, 1}, "give --bias true");
  EXPECT_THROW(WarmStart("/nowhere/start.model", {2, 2, true}, {-1, 1}), base::Error);
}

}  // namespace
}  // namespace lambdaml::train
