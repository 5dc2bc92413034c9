// --platform http: the workers are servers, here of this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "e2e/sample_data.h"
#include "e2e/workbench.h"
#include "support/servers/server_process.h"

namespace lambdaml::test {
namespace {

using ::testing::HasSubstr;

constexpr base::Duration kSoon = std::chrono::seconds(60);

class HttpPlatformTest : public Workbench {
 protected:
  // Starts workers as servers; returns their URLs, with commas between them.
  std::string StartWorkers(int count) {
    std::vector<std::string> urls;
    for (int i = 0; i < count; ++i) {
      const int port = FreePort();
      workers_.push_back(std::make_unique<ServerProcess>(
          ProgramOptions{.program = LAMBDAML_WORKER,
                         .arguments = {},
                         .environment = {fmt::format("PORT={}", port)},
                         .working_directory = "/"},
          [port] { return AcceptsConnections(port); }));
      urls.push_back(fmt::format("http://127.0.0.1:{}", port));
    }
    return fmt::format("{}", fmt::join(urls, ","));
  }

  void SetUp() override { Write("data", SeparableSample({.rows = 101, .density = 0.6})); }

  std::vector<std::unique_ptr<ServerProcess>> workers_;
};

TEST_F(HttpPlatformTest, GivesTheModelOfTheLocalPlatformAndWorkersServeTheNextJob) {
  const Arguments job = {"train", "--data", "data", "--workers", "3", "--lambda", "0.01"};
  Succeed(Join(job, Arguments{"--output", "local.model"}));
  const std::string urls = StartWorkers(3);
  for (const char* name : {"first.model", "second.model"}) {
    Succeed(Join(job, Arguments{"--output", name, "--platform", "http", "--function_url", urls}));
    EXPECT_EQ(Read(name), Read("local.model"));
  }
}

TEST_F(HttpPlatformTest, WorkersWriteMetricsForCloudWatchWhenAskedTo) {
  std::vector<std::string> urls;
  for (const std::string name : {"said_0", "said_1"}) {
    const int port = FreePort();
    workers_.push_back(std::make_unique<ServerProcess>(
        ProgramOptions{
            .program = "/bin/sh",
            .arguments = {"-c", fmt::format("exec {} > {}", LAMBDAML_WORKER, Path(name))},
            .environment = {fmt::format("PORT={}", port)},
            .working_directory = "/"},
        [port] { return AcceptsConnections(port); }));
    urls.push_back(fmt::format("http://127.0.0.1:{}", port));
  }
  const Arguments job = {
      "train", "--data",     "data",    "--workers",      "2",
      "--lr",  "0.1",        "--optim", "grad_avg",       "--n_epochs",
      "3",     "--platform", "http",    "--function_url", fmt::format("{}", fmt::join(urls, ","))};
  Succeed(Join(job, Arguments{"--output", "plain.model"}));
  EXPECT_EQ(Read("said_0") + Read("said_1"), "") << "off by default: logs cost";
  Succeed(Join(job, Arguments{"--output", "m.model", "--metrics", "cloudwatch", "--log", "log"}));
  const std::vector<base::Json> log = Log("log");
  int losses = 0;
  for (const std::string name : {"said_0", "said_1"}) {
    const std::vector<std::string> lines = ReadLines(name);
    ASSERT_EQ(lines.size(), 3U);
    for (size_t i = 0; i < lines.size(); ++i) {
      const base::Json line = base::Json::Parse(lines[i], "metrics");
      EXPECT_EQ(line.At("Epoch").AsInteger(), static_cast<int64_t>(i) + 1);
      EXPECT_EQ(line.At("_aws").At("CloudWatchMetrics").AsArray().size(), 1U);
      EXPECT_GT(line.At("RoundTime").AsNumber(), 0);
      EXPECT_GT(line.At("BytesWritten").AsNumber(), 0);
      const base::Json* loss = line.Find("Loss");
      if (loss == nullptr) continue;
      ++losses;
      EXPECT_EQ(loss->AsNumber(), log[i].At("loss").AsNumber());
    }
  }
  EXPECT_EQ(losses, 3) << "the loss is the same everywhere: one rank says it";
}

TEST_F(HttpPlatformTest, MistakesAreSaid) {
  const Arguments job = {"train", "--data", "data", "--platform", "http"};
  Refuse(job, 2, {"--function_url"});
  Refuse(Join(job, Arguments{"--function_url", "https://workers.example.com"}), 2,
         {"--run_folder"});
  Refuse({"train", "--data", "data", "--function_url", "http://127.0.0.1:1"}, 2,
         {"--platform http"});
  Refuse(Join(job, Arguments{"--function_url", fmt::format("http://127.0.0.1:{}", FreePort()),
                             "--workers", "1", "--max_restarts", "0"}),
         4, {"cannot connect"});
}

TEST_F(HttpPlatformTest, ARunEndsAtItsDeadlineAndAtItsCost) {
  const Arguments job = {"train",     "--data",     "data",     "--workers",
                         "2",         "--optim",    "grad_avg", "--lr",
                         "0.1",       "--n_epochs", "1000000",  "--checkpoint_every",
                         "1000000000"};
  const Outcome late = Run(Join(job, Arguments{"--deadline", "1"}));
  EXPECT_EQ(late.exit_code, 4);
  EXPECT_THAT(late.err, HasSubstr("--deadline of 1 s"));
  const Outcome dear = Run(Join(job, Arguments{"--max_cost", "0.00001"}));
  EXPECT_EQ(dear.exit_code, 4);
  EXPECT_THAT(dear.err, HasSubstr("more than --max_cost"));
}

}  // namespace
}  // namespace lambdaml::test
