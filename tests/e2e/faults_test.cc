// Kills, interrupts and stalls: a run ends within seconds, says why, and leaves nothing.
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

// Generous, for sanitizers and busy machines; the runs would otherwise go on for days.
constexpr base::Duration kSoon = std::chrono::seconds(30);

class FaultsTest : public Workbench {
 protected:
  FaultsTest() { Write("data", SeparableSample()); }

  // A run that never ends by itself, once it has reported an epoch.
  std::unique_ptr<ChildProgram> StartEndlessRun(const Arguments& more = {}) const {
    std::unique_ptr<ChildProgram> run =
        Start(Join({"train", "--data", "data", "--optim", "grad_avg", "--n_epochs", "1000000000",
                    "--batch_size", "0", "--max_restarts", "0", "--output", "m"},
                   more));
    run->WaitUntil([&] { return run->out().find("\n") != std::string::npos; }, kSoon);
    return run;
  }

  // What a run that failed must look like.
  void ExpectFailed(const ProgramResult& result, const std::string& message) const {
    EXPECT_EQ(result.status.ToString(), "exit status 4");
    EXPECT_THAT(result.err, ::testing::ContainsRegex(message));
    EXPECT_THAT(result.out, Not(HasSubstr("m\n"))) << "no summary";
    EXPECT_FALSE(Exists("m"));
    ExpectNothingLeft();
  }
};

TEST_F(FaultsTest, AKilledWorkerEndsTheRunWithAnErrorThatNamesItsRank) {
  for (const std::string sync_mode : {"reduce", "reduce_scatter", "async"}) {
    SCOPED_TRACE(sync_mode);
    const auto run = StartEndlessRun({"--sync_mode", sync_mode, "--workers", "3"});
    const std::vector<pid_t> workers = WorkersOf(*run);
    ASSERT_EQ(workers.size(), 3U);
    ::kill(workers[1], SIGKILL);
    ExpectFailed(run->Wait(kSoon), "^lambdaml: worker [0-2] of 3 failed: .*killed");
  }
}

TEST_F(FaultsTest, AStalledWorkerEndsTheRunWithAnErrorThatNamesItsRank) {
  for (const std::string sync_mode : {"reduce", "reduce_scatter"}) {
    SCOPED_TRACE(sync_mode);
    const auto run =
        StartEndlessRun({"--sync_mode", sync_mode, "--workers", "3", "--round_timeout", "0.5"});
    const std::vector<pid_t> workers = WorkersOf(*run);
    ASSERT_EQ(workers.size(), 3U);
    ::kill(workers[2], SIGSTOP);
    ExpectFailed(run->Wait(kSoon), "^lambdaml: worker [0-2] of 3 failed: .*(rank|worker) [0-2]");
  }
}

TEST_F(FaultsTest, CtrlCStopsEveryWorkerAndCleansUp) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const auto run = StartEndlessRun();
    run->Signal(signal);
    const ProgramResult result = run->Wait(kSoon);
    EXPECT_EQ(result.status.ToString(), "exit status 130");
    EXPECT_THAT(result.err, ::testing::ContainsRegex("^lambdaml: interrupted.*\n$"));
    EXPECT_FALSE(Exists("m"));
    ExpectNothingLeft();
  }
}

TEST_F(FaultsTest, ASecondCtrlCEndsItAtOnceAndStillCleansUp) {
  const auto run = StartEndlessRun();
  run->Signal(SIGINT);
  run->Signal(SIGINT);
  const std::string end = run->Wait(kSoon).status.ToString();
  EXPECT_THAT(end, ::testing::AnyOf("signal: interrupt", "exit status 130"));
  ExpectNothingLeft(kSoon);
  EXPECT_FALSE(Exists("m"));
}

TEST_F(FaultsTest, KillingTheTriggerTakesWorkersAndFoldersWithIt) {
  std::filesystem::create_directory(Path("channel"));
  const auto run = StartEndlessRun({"--channel", "file://" + Path("channel")});
  ASSERT_EQ(WorkersOf(*run).size(), 4U);
  run->Signal(SIGKILL);
  EXPECT_EQ(run->Wait(kSoon).status.ToString(), "signal: killed");
  ExpectNothingLeft(kSoon);
  EXPECT_TRUE(std::filesystem::is_empty(Path("channel")));
  EXPECT_FALSE(Exists("m"));
}

TEST_F(FaultsTest, AChannelOfOnesOwnIsEmptyAfterEveryEnd) {
  const std::string url = "file://" + Path("channel");
  Succeed({"train", "--data", "data", "--channel", url, "--output", "m"});
  EXPECT_TRUE(std::filesystem::is_empty(Path("channel")));
  Succeed({"train", "--data", "data", "--channel", "channel", "--output", "m"});
  EXPECT_TRUE(std::filesystem::is_empty(Path("channel"))) << "a relative path";
  std::filesystem::remove(Path("m"));
  const auto run = StartEndlessRun({"--channel", url, "--workers", "2"});
  EXPECT_FALSE(std::filesystem::is_empty(Path("channel")));
  ::kill(WorkersOf(*run).at(0), SIGKILL);
  ExpectFailed(run->Wait(kSoon), "worker [0-1] of 2 failed");
  EXPECT_TRUE(std::filesystem::is_empty(Path("channel")));
}

TEST_F(FaultsTest, TwoRunsMayShareAChannel) {
  const Arguments job = {
      "train",   "--data",   "data",       "--channel", "file://" + Path("channel"),
      "--optim", "grad_avg", "--n_epochs", "20"};
  const auto first = Start(Join(job, Arguments{"--output", "first"}));
  const auto second = Start(Join(job, Arguments{"--output", "second"}));
  EXPECT_EQ(first->Wait(RunTimeout()).err, "");
  EXPECT_EQ(second->Wait(RunTimeout()).err, "");
  ExpectNothingLeft();
  EXPECT_EQ(Read("first"), Read("second"));
  EXPECT_TRUE(std::filesystem::is_empty(Path("channel")));
}

TEST_F(FaultsTest, AClosedOrFullStandardOutputEndsTheRunCleanly) {
  const std::string train = "$LAMBDAML train --data data --optim grad_avg --output m";
  const Outcome full = RunShell("exec " + train + " > /dev/full");
  EXPECT_EQ(full.exit_code, 4);
  EXPECT_THAT(full.err, ::testing::ContainsRegex("^lambdaml: [^\n]*standard output[^\n]*\n$"));
  const Outcome closed = RunShell(train + " --n_epochs 1000000000 | head -n 2");
  EXPECT_THAT(closed.err, ::testing::ContainsRegex("^lambdaml: [^\n]*standard output[^\n]*\n$"));
  EXPECT_FALSE(Exists("m"));
}

}  // namespace
}  // namespace lambdaml::test
