// The contract of exactness: bits that depend on neither pattern, channel, run nor threads.
#include <cmath>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

class ExactnessTest : public Workbench {
 protected:
  ExactnessTest() { Write("data", SeparableSample({.rows = 101, .density = 0.6})); }

  // The bytes of the model that a run with these arguments leaves.
  std::string ModelOf(const Arguments& arguments) const {
    Succeed(Join({"train", "--data", "data", "--output", "m", "--lambda", "0.01", "--n_epochs", "3",
                  "--n_admm_epochs", "5", "--batch_size", "7"},
                 arguments));
    return Read("m");
  }

  // The weights of a LIBLINEAR model: the lines after "w".
  static std::vector<double> WeightsOf(const std::string& model) {
    std::istringstream lines(model.substr(model.find("\nw\n") + 3));
    std::vector<double> weights;
    for (double weight = 0; lines >> weight;) weights.push_back(weight);
    return weights;
  }
};

TEST_F(ExactnessTest, BothPatternsChannelsAndRepetitionsGiveTheSameBytes) {
  Variants variants;
  for (const std::string optim : {"grad_avg", "model_avg", "admm"}) {
    for (const std::string model : {"lr", "sparse_svm"}) {
      for (const std::string workers : {"1", "3", "4"}) {
        variants.Try(fmt::format("{} {} × {}", model, optim, workers), [&] {
          const Arguments job = {"--optim", optim, "--model", model, "--workers", workers};
          const std::string expected = ModelOf(Join(job, Arguments{"--sync_mode", "reduce"}));
          EXPECT_EQ(ModelOf(Join(job, Arguments{"--sync_mode", "reduce"})), expected);
          EXPECT_EQ(ModelOf(Join(job, Arguments{"--sync_mode", "reduce_scatter"})), expected);
          EXPECT_EQ(ModelOf(Join(job, Arguments{"--channel", "file://" + Path("channel")})),
                    expected);
        });
      }
    }
  }
}

TEST_F(ExactnessTest, ThreadsInAWorkerDoNotChangeABit) {
  const Arguments job = {"--optim", "grad_avg", "--workers", "2"};
  EXPECT_EQ(ModelOf(Join(job, Arguments{"--memory_mb", "7076"})),
            ModelOf(Join(job, Arguments{"--memory_mb", "1769"})));
}

TEST_F(ExactnessTest, ManyWorkersComputeWhatOneWorkerWithAllTheirRowsDoes) {
  Variants variants;
  for (const std::string model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    const auto train = [&](int workers, int batch_size) {
      Succeed({"train", "--data", "data", "--output", "m", "--optim", "grad_avg", "--model", model,
               "--workers", std::to_string(workers), "--batch_size", std::to_string(batch_size),
               "--lr", "0.5", "--n_epochs", "4"});
      return WeightsOf(Read("m"));
    };
    // Steps of 12 rows over 101: the last one is short, and not all workers have the same.
    const std::vector<double> one = train(1, 12);
    for (const int workers : {2, 3, 4, 6}) {
      variants.Try(fmt::format("{} × {}", model, workers), [&] {
        const std::vector<double> many = train(workers, 12 / workers);
        ASSERT_EQ(many.size(), one.size());
        for (size_t i = 0; i < one.size(); ++i) {
          EXPECT_NEAR(many[i], one[i], 2e-6 * std::max(1.0, std::abs(one[i]))) << "weight " << i;
        }
      });
    }
  }
}

TEST_F(ExactnessTest, AnotherSeedGivesAnotherModel) {
  const Arguments job = {"--optim", "grad_avg", "--workers", "2"};
  EXPECT_NE(ModelOf(Join(job, Arguments{"--seed", "1"})),
            ModelOf(Join(job, Arguments{"--seed", "2"})));
}

}  // namespace
}  // namespace lambdaml::test
