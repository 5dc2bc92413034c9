// What the options of learning do: stopping, warm starts, schedules, momentum, penalties.
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

#include "lambdaml/base/random.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;

// Flips the labels of about every fifth row, which no plane can then explain.
std::string WithNoise(const std::string& text) {
  base::Random random(9);
  std::istringstream lines(text);
  std::string noisy;
  for (std::string line; std::getline(lines, line);) {
    if (random.Uniform() < 0.2) line = line[0] == '-' ? line.substr(1) : "-" + line;
    noisy += line + '\n';
  }
  return noisy;
}

class LearningTest : public Workbench {
 protected:
  // Trains with gradient averaging by two workers unless told otherwise; returns the log.
  std::vector<Json> Train(const Arguments& arguments) const {
    Succeed(Join({"train", "--data", "data", "--workers", "2", "--output", "m", "--log", "log"},
                 arguments));
    return Log("log");
  }

  static std::vector<double> LossesOf(const std::vector<Json>& log, const char* key = "loss") {
    std::vector<double> losses;
    for (const Json& record : log) {
      if (record.At("event").AsString() == "epoch") losses.push_back(record.At(key).AsNumber());
    }
    return losses;
  }

  // The weights of the features, without the bias.
  std::vector<double> FeatureWeights() const {
    const std::string model = Read("m");
    std::istringstream lines(model.substr(model.find("\nw\n") + 3));
    std::vector<double> weights;
    for (double weight = 0; lines >> weight;) weights.push_back(weight);
    weights.pop_back();
    return weights;
  }
};

TEST_F(LearningTest, PatienceStopsWhenTheValidationLossNoLongerFallsAndKeepsTheBestModel) {
  Write("data", WithNoise(SeparableSample({.rows = 60, .n_features = 30})));
  for (const std::string optim : {"grad_avg", "model_avg"}) {
    SCOPED_TRACE(optim);
    const std::vector<Json> log = Train({"--optim", optim, "--n_epochs", "2000", "--valid_ratio",
                                         "0.5", "--patience", "3", "--lr", "0.5"});
    const Json& summary = log.back();
    EXPECT_EQ(summary.At("stopped_by").AsString(), "early_stopping");
    EXPECT_LT(summary.At("epochs").AsInteger(), 2000);
    const std::vector<double> losses = LossesOf(log, "valid_loss");
    EXPECT_NEAR(summary.At("valid_loss").AsNumber(), *std::ranges::min_element(losses), 1e-9);
  }
}

TEST_F(LearningTest, AdmmStopsWhenItsResidualsAreSmall) {
  Write("data", WithNoise(SeparableSample()));
  const Json summary = Train({"--optim", "admm", "--lambda", "0.1"}).back();
  EXPECT_EQ(summary.At("stopped_by").AsString(), "convergence");
  EXPECT_LT(summary.At("epochs").AsInteger(), 100);
}

TEST_F(LearningTest, AWarmStartGoesOnWhereTheModelStood) {
  Write("data", WithNoise(SeparableSample()));
  const Arguments job = {"--optim", "grad_avg", "--lambda", "0.001", "--batch_size", "0"};
  const std::vector<double> cold = LossesOf(Train(Join(job, Arguments{"--n_epochs", "20"})));
  Write("first", Read("m"));
  const std::vector<double> warm =
      LossesOf(Train(Join(job, Arguments{"--n_epochs", "2", "--init_model", "first"})));
  EXPECT_LE(warm.front(), cold.back() * (1 + 1e-6));
  EXPECT_LT(warm.front(), cold.front());
  EXPECT_LT(warm.back(), warm.front());
}

TEST_F(LearningTest, ModelsOfEveryAlgorithmAreWarmStarts) {
  Write("data", WithNoise(SeparableSample()));
  for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
    const Arguments job = {"--optim", optim, "--lambda", "0.01", "--n_admm_epochs", "30"};
    const double cold = Train(job).back().At("loss").AsNumber();
    Write("first", Read("m"));
    const std::vector<Json> log = Train(Join(job, Arguments{"--init_model", "first"}));
    EXPECT_LE(log.back().At("loss").AsNumber(), cold * 1.01) << optim;
  }
}

TEST_F(LearningTest, EveryScheduleOfTheLearningRateLearnsAndDiffersFromTheOthers) {
  Write("data", SeparableSample());
  std::vector<std::string> models;
  for (const std::string schedule : {"constant", "step", "inverse_sqrt", "cosine"}) {
    const std::vector<Json> log =
        Train({"--optim", "grad_avg", "--lr_schedule", schedule, "--n_epochs", "10"});
    EXPECT_GE(log.back().At("accuracy").AsNumber(), 0.9) << schedule;
    EXPECT_THAT(models, ::testing::Not(::testing::Contains(Read("m")))) << schedule;
    models.push_back(Read("m"));
  }
}

TEST_F(LearningTest, MomentumSpeedsUpSmallSteps) {
  Write("data", SeparableSample());
  const Arguments job = {"--optim", "grad_avg", "--lr", "0.01", "--n_epochs", "20"};
  const double plain = Train(job).back().At("loss").AsNumber();
  const double heavy =
      Train(Join(job, Arguments{"--momentum", "0.9"})).back().At("loss").AsNumber();
  EXPECT_LT(heavy, 0.8 * plain);
}

TEST_F(LearningTest, TheObjectiveIsMeanLossPlusPenaltyOfTheSavedWeights) {
  Write("data", WithNoise(SeparableSample()));
  Variants variants;
  for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
    for (const std::string regularizer : {"l1", "l2"}) {
      for (const std::string model : {"lr", "svm"}) {
        variants.Try(fmt::format("{} {} {}", optim, regularizer, model), [&] {
          const std::vector<Json> log = Train({"--optim", optim, "--regularizer", regularizer,
                                               "--lambda", "0.02", "--model", model});
          double penalty = 0;
          for (const double w : FeatureWeights()) {
            penalty += 0.02 * (regularizer == "l1" ? std::abs(w) : w * w / 2);
          }
          EXPECT_NEAR(log.back().At("loss").AsNumber(),
                      Evaluate("m", "data").At("loss").AsNumber() + penalty, 1e-5);
        });
      }
    }
  }
}

TEST_F(LearningTest, L1MakesWeightsZeroAndL2MakesThemSmall) {
  Write("data", WithNoise(SeparableSample({.n_features = 12})));
  const auto train = [&](const std::string& regularizer, const std::string& lambda) {
    Train({"--optim", "admm", "--regularizer", regularizer, "--lambda", lambda, "--tolerance",
           "1e-5"});
    return FeatureWeights();
  };
  const auto norm = [](const std::vector<double>& w) {
    double sum = 0;
    for (const double value : w) sum += value * value;
    return sum;
  };
  EXPECT_EQ(norm(train("l1", "10")), 0) << "so strong a penalty leaves the bias alone";
  EXPECT_GE(std::ranges::count(train("l1", "0.05"), 0.0), 1);
  EXPECT_LT(norm(train("l2", "1")), 0.5 * norm(train("l2", "0.01")));
}

TEST_F(LearningTest, ARunThatDivergesSaysSo) {
  Write("data", SeparableSample());
  const Outcome outcome =
      Run({"train", "--data", "data", "--optim", "grad_avg", "--lr", "1e300", "--output", "m"});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_THAT(outcome.err, ::testing::HasSubstr("smaller --lr"));
  EXPECT_FALSE(Exists("m"));
}

}  // namespace
}  // namespace lambdaml::test
