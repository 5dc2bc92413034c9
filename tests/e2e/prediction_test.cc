// What a trained model says: labels of any kind, several classes, probabilities, and agreement with
// LIBLINEAR's own program.
#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

constexpr const char* kLiblinearPredict = "/usr/bin/liblinear-predict";
constexpr const char* kHeartScale = "/usr/share/doc/liblinear-tools/examples/heart_scale";

std::vector<double> Numbers(const std::string& line) {
  std::istringstream text(line);
  std::vector<double> numbers;
  for (double number = 0; text >> number;) numbers.push_back(number);
  return numbers;
}

class PredictionTest : public Workbench {
 protected:
  void MakeBlobs(int n_classes) const {
    Succeed({"data", "generate", "blobs", "--rows", "400", "--n_features", "5", "--n_classes",
             std::to_string(n_classes), "--seed", "3", "--output", "data"});
  }

  std::vector<std::string> Predict(const Arguments& more = {}) const {
    Succeed(Join({"predict", "m", "--data", "data", "--output", "p"}, more));
    return ReadLines("p");
  }

  // Share of rows of `data` whose label stands in the line of the prediction.
  double Accuracy(const std::vector<std::string>& predicted) const {
    const std::vector<std::string> rows = ReadLines("data");
    EXPECT_EQ(predicted.size(), rows.size());
    size_t correct = 0;
    for (size_t r = 0; r < std::min(rows.size(), predicted.size()); ++r) {
      correct += std::stod(rows[r]) == std::stod(predicted[r]) ? 1U : 0U;
    }
    return static_cast<double>(correct) / static_cast<double>(rows.size());
  }
};

TEST_F(PredictionTest, LabelsOfAnyTwoValuesComeBackInPredictions) {
  struct Labels {
    const char* negative;
    const char* positive;
  };
  Variants variants;
  for (const Labels labels : {Labels{"-1", "1"}, Labels{"0", "1"}, Labels{"1", "2"},
                              Labels{"3.5", "7"}, Labels{"-0.25", "100000"}}) {
    for (const std::string model : {"lr", "sparse_svm"}) {
      variants.Try(fmt::format("{} {}/{}", model, labels.negative, labels.positive), [&] {
        Write("data", SeparableSample({.negative = labels.negative, .positive = labels.positive}));
        Succeed({"train", "--data", "data", "--model", model, "--output", "m"});
        const std::vector<std::string> predicted = Predict();
        EXPECT_THAT(std::set<std::string>(predicted.begin(), predicted.end()),
                    ::testing::UnorderedElementsAre(labels.negative, labels.positive));
        EXPECT_GE(Accuracy(predicted), 0.98);
      });
    }
  }
}

TEST_F(PredictionTest, SeveralClassesAreLearntByEveryModelAndAlgorithm) {
  MakeBlobs(4);
  Variants variants;
  for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
      variants.Try(fmt::format("{} {}", model, optim), [&] {
        Succeed({"train", "--data", "data", "--model", model, "--optim", optim, "--workers", "3",
                 "--output", "m", "--log", "log", "--n_epochs", "30"});
        const double accuracy = Accuracy(Predict());
        EXPECT_GE(accuracy, 0.9);
        EXPECT_NEAR(accuracy, Log("log").back().At("accuracy").AsNumber(), 1e-9);
        EXPECT_NEAR(accuracy, Evaluate("m", "data").At("accuracy").AsNumber(), 1e-9);
      });
    }
  }
}

TEST_F(PredictionTest, ProbabilitiesSumToOneAndTheLargestIsTheLabel) {
  for (const int n_classes : {2, 4}) {
    SCOPED_TRACE(n_classes);
    MakeBlobs(n_classes);
    Succeed({"train", "--data", "data", "--output", "m"});
    std::vector<std::string> lines = Predict({"--probabilities"});
    ASSERT_THAT(lines.front(), ::testing::StartsWith("labels "));
    const std::vector<double> labels = Numbers(lines.front().substr(7));
    ASSERT_EQ(labels.size(), static_cast<size_t>(n_classes));
    lines.erase(lines.begin());
    ASSERT_EQ(lines.size(), 400U);
    for (const std::string& line : lines) {
      const std::vector<double> numbers = Numbers(line);
      ASSERT_EQ(numbers.size(), labels.size() + 1) << line;
      double sum = 0;
      for (size_t k = 1; k < numbers.size(); ++k) sum += numbers[k];
      EXPECT_NEAR(sum, 1, 1e-5) << line;
      const auto largest = std::max_element(numbers.begin() + 1, numbers.end());
      EXPECT_EQ(labels[static_cast<size_t>(largest - numbers.begin() - 1)], numbers[0]) << line;
    }
    EXPECT_GE(Accuracy(lines), 0.9);
  }
}

TEST_F(PredictionTest, ASupportVectorMachineHasNoProbabilities) {
  Write("data", SeparableSample());
  Succeed({"train", "--data", "data", "--model", "svm", "--output", "m"});
  Refuse({"predict", "m", "--data", "data", "--output", "p", "--probabilities"}, 2,
         {"--probabilities"});
}

TEST_F(PredictionTest, LiblinearPredictsTheSameFromOurModels) {
  if (!std::filesystem::exists(kLiblinearPredict)) {
    GTEST_SKIP() << "liblinear-predict is not installed (Debian: liblinear-tools)";
  }
  Variants variants;
  for (const int n_classes : {2, 3}) {
    MakeBlobs(n_classes);
    for (const std::string model : {"lr", "svm"}) {
      for (const std::string bias : {"true", "false"}) {
        variants.Try(fmt::format("{} classes {} bias {}", n_classes, model, bias), [&] {
          Succeed({"train", "--data", "data", "--model", model, "--bias", bias, "--output", "m"});
          RunTool(kLiblinearPredict, {"data", "m", "liblinear"});
          EXPECT_EQ(ReadLines("liblinear"), Predict());
        });
      }
    }
  }
}

TEST_F(PredictionTest, WePredictAsLiblinearFromItsModels) {
  if (!std::filesystem::exists(kLiblinearPredict)) {
    GTEST_SKIP() << "liblinear-train is not installed (Debian: liblinear-tools)";
  }
  MakeBlobs(3);
  Variants variants;
  for (const std::string solver : {"0", "1", "2", "3", "4", "5", "6", "7"}) {
    variants.Try("solver " + solver, [&] {
      RunTool("/usr/bin/liblinear-train", {"-q", "-s", solver, "-B", "1", "data", "m"});
      RunTool(kLiblinearPredict, {"data", "m", "liblinear"});
      EXPECT_EQ(Predict(), ReadLines("liblinear"));
    });
  }
}

TEST_F(PredictionTest, HeartScaleIsLearntAsWellAsLiblinearLearnsIt) {
  if (!std::filesystem::exists(kHeartScale)) {
    GTEST_SKIP() << kHeartScale << " is not installed (Debian: liblinear-tools)";
  }
  for (const std::string model : {"lr", "svm", "sparse_lr"}) {
    Succeed({"train", "--data", kHeartScale, "--model", model, "--output", "m"});
    EXPECT_GE(Evaluate("m", kHeartScale).At("accuracy").AsNumber(), 0.83) << model;
  }
}

TEST_F(PredictionTest, FeaturesAboveTheModelsAreLeftOutAndCounted) {
  Write("data", SeparableSample({.n_features = 4}));
  Succeed({"train", "--data", "data", "--output", "m"});
  Write("wide", "1 1:0.5 9:1\n-1 2:0.5 7:1 8:1\n");
  const Outcome outcome = Run({"evaluate", "m", "--data", "wide", "--json"});
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(base::Json::Parse(outcome.out, "out").At("ignored_entries").AsInteger(), 3);
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("3 entries have features above the model's 4"));
}

}  // namespace
}  // namespace lambdaml::test
