// Jobs that outlive their functions: time-outs, kills and pauses change no bit of the model, and a
// run that ended too early goes on where it was.
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/json.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

constexpr base::Duration kSoon = std::chrono::minutes(2);

class GenerationsTest : public Workbench {
 protected:
  GenerationsTest() { Write("data", SeparableSample()); }

  static Arguments JobOf(const std::string& model, const std::string& optim,
                         const std::string& sync_mode, int epochs) {
    Arguments job = {"train",       "--data",     "data",
                     "--model",     model,        "--workers",
                     "3",           "--n_epochs", std::to_string(epochs),
                     "--sync_mode", sync_mode,    "--log",
                     "log"};
    if (model == "kmeans") return Join(job, Arguments{"--n_clusters", "4", "--batch_size", "16"});
    return Join(job, Arguments{"--optim", optim, "--n_admm_epochs", std::to_string(epochs),
                               "--tolerance", "1e-30"});
  }

  base::Json Summary() const {
    const std::string log = Read("log");
    const size_t begin = log.find("{\"event\":\"summary\"");
    return base::Json::Parse(log.substr(begin), "summary");
  }
};

// --run_epochs cuts the job without a clock, so that the test does not depend on the machine.
TEST_F(GenerationsTest, AJobInManyGenerationsGivesTheModelOfOne) {
  for (const auto& [model, optim] :
       std::vector<std::pair<std::string, std::string>>{{"lr", "grad_avg"},
                                                        {"lr", "model_avg"},
                                                        {"lr", "admm"},
                                                        {"svm", "admm"},
                                                        {"sparse_svm", "grad_avg"},
                                                        {"kmeans", ""}}) {
    for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
      SCOPED_TRACE(model + " " + optim + " " + sync_mode);
      const Arguments job = JobOf(model, optim, sync_mode, 12);
      Succeed(Join(job, Arguments{"--output", "whole"}));
      Succeed(Join(job, Arguments{"--output", "parts", "--run_epochs", "2"}));
      EXPECT_EQ(Read("parts"), Read("whole"));
      EXPECT_GE(Summary().At("generations").AsInteger(), 5);
      EXPECT_FALSE(Exists("parts.checkpoint"));
      ExpectNothingLeft();
    }
  }
}

TEST_F(GenerationsTest, TheClockEndsAGenerationInTime) {
  const Arguments job = JobOf("lr", "grad_avg", "reduce", 2000);
  Succeed(Join(job, Arguments{"--output", "whole"}));
  Succeed(Join(job, Arguments{"--output", "parts", "--timeout", "1"}));
  EXPECT_EQ(Read("parts"), Read("whole"));
}

TEST_F(GenerationsTest, AWorkerThatIsKilledIsStartedAgainAndChangesNothing) {
  for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
    const Arguments job =
        Join(JobOf("lr", "grad_avg", sync_mode, 3000), Arguments{"--checkpoint_every", "500"});
    Succeed(Join(job, Arguments{"--output", "whole"}));
    for (size_t victim = 0; victim < 3; ++victim) {
      SCOPED_TRACE(sync_mode + fmt::format(" worker {}", victim));
      const auto run = Start(Join(job, Arguments{"--output", "disturbed"}));
      run->WaitUntil([&] { return run->out().find("\n  700 ") != std::string::npos; }, kSoon);
      const std::vector<pid_t> workers = WorkersOf(*run);
      ASSERT_EQ(workers.size(), 3U);
      ::kill(workers[victim], SIGKILL);
      const ProgramResult result = run->Wait(kSoon);
      EXPECT_EQ(result.status.ToString(), "exit status 0") << result.err;
      EXPECT_THAT(result.err, HasSubstr("starting worker"));
      EXPECT_EQ(Summary().At("restarts").AsInteger(), 1);
      EXPECT_EQ(Read("disturbed"), Read("whole"));
      ExpectNothingLeft();
    }
  }
}

TEST_F(GenerationsTest, ARunThatEndedTooEarlyIsResumed) {
  const Arguments job = JobOf("lr", "grad_avg", "reduce", 3000);
  Succeed(Join(job, Arguments{"--output", "whole"}));
  const auto run = Start(Join(job, Arguments{"--output", "m", "--checkpoint_every", "100"}));
  run->WaitUntil([&] { return run->out().find("\n  700 ") != std::string::npos; }, kSoon);
  ::kill(run->pid(), SIGINT);
  const ProgramResult result = run->Wait(kSoon);
  EXPECT_NE(result.status.ToString(), "exit status 0");
  EXPECT_FALSE(Exists("m"));
  ASSERT_TRUE(Exists("m.checkpoint"));
  EXPECT_THAT(Run({"train", "--resume", "m.checkpoint", "--lr", "3"}).err, HasSubstr("--lr"));
  const std::string out = Succeed({"train", "--resume", "m.checkpoint", "--log", "log"});
  EXPECT_EQ(Read("m"), Read("whole"));
  EXPECT_THAT(out, HasSubstr("\n    1 ")) << "the epochs before are shown too";
  EXPECT_FALSE(Exists("m.checkpoint"));
}

TEST_F(GenerationsTest, WhatCannotBeResumedIsRefused) {
  const Outcome outcome = Run({"train", "--resume", "nothing"});
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("no checkpoint"));
}

}  // namespace
}  // namespace lambdaml::test
