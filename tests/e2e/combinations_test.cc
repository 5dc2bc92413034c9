// Every model with every algorithm, way of synchronising and number of workers.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;

class CombinationsTest : public Workbench {
 protected:
  CombinationsTest() {
    Write("train", SeparableSample({.density = 0.7}));
    Write("test", SeparableSample({.rows = 80, .density = 0.7, .seed = 2}));
  }

  // Trains, and checks the model against what the run says of it.
  void TrainAndCheck(const std::string& model, const std::string& optim,
                     const std::string& sync_mode, const std::string& workers) {
    Succeed({"train",   "--model",      model,   "--optim",         optim,   "--sync_mode",
             sync_mode, "--workers",    workers, "--data",          "train", "--test",
             "test",    "--output",     "m",     "--log",           "log",   "--n_epochs",
             "12",      "--batch_size", "8",     "--n_admm_epochs", "12"});
    const Json summary = Log("log").back();
    EXPECT_EQ(summary.At("event").AsString(), "summary");
    EXPECT_EQ(summary.At("rows").AsInteger(), 120);
    EXPECT_EQ(summary.At("invocations").AsInteger(), std::stoi(workers));
    EXPECT_GE(summary.At("accuracy").AsNumber(), 0.93);
    EXPECT_GE(summary.At("test_accuracy").AsNumber(), 0.9);
    const Json evaluation = Evaluate("m", "test");
    EXPECT_EQ(evaluation.At("rows").AsInteger(), 80);
    EXPECT_EQ(evaluation.At("accuracy").AsNumber(), summary.At("test_accuracy").AsNumber());
    EXPECT_NEAR(evaluation.At("loss").AsNumber(), summary.At("test_loss").AsNumber(), 1e-9);
  }
};

TEST_F(CombinationsTest, AllTrainAModelThatClassifies) {
  Variants variants;
  for (const char* model : {"lr", "svm", "sparse_lr", "sparse_svm"}) {
    for (const char* optim : {"grad_avg", "model_avg", "admm"}) {
      for (const char* sync_mode : {"reduce", "reduce_scatter", "async"}) {
        if (optim == std::string("admm") && sync_mode == std::string("async")) continue;
        for (const char* workers : {"1", "2", "3", "4", "7"}) {
          variants.Try(fmt::format("{} {} {} × {}", model, optim, sync_mode, workers),
                       [&] { TrainAndCheck(model, optim, sync_mode, workers); });
        }
      }
    }
  }
}

TEST_F(CombinationsTest, AdmmRefusesToRunAsynchronously) {
  Refuse({"train", "--data", "train", "--optim", "admm", "--sync_mode", "async"}, 2,
         {"admm", "async", "reduce_scatter", "grad_avg"});
}

TEST_F(CombinationsTest, DefaultsAloneTrainAModelNamedAfterItsData) {
  Succeed({"train", "--data", "train"});
  EXPECT_GE(Evaluate("train.model", "test").At("accuracy").AsNumber(), 0.95);
}

TEST_F(CombinationsTest, AWorkerMayHaveASingleRow) {
  Write("tiny", SeparableSample({.rows = 7}));
  Variants variants;
  for (const char* optim : {"grad_avg", "model_avg", "admm"}) {
    for (const char* sync_mode : {"reduce", "reduce_scatter"}) {
      variants.Try(fmt::format("{} {}", optim, sync_mode), [&] {
        Succeed({"train", "--data", "tiny", "--workers", "7", "--optim", optim, "--sync_mode",
                 sync_mode, "--n_epochs", "2", "--n_admm_epochs", "3", "--output", "m"});
      });
    }
  }
}

}  // namespace
}  // namespace lambdaml::test
