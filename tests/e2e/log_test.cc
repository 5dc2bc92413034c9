// --log: JSON lines for programs, beside the text for people.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "lambdaml/report/run_record.h"

#include "e2e/sample_data.h"
#include "e2e/workbench.h"

namespace lambdaml::test {
namespace {

using base::Json;

class LogTest : public Workbench {
 protected:
  LogTest() { Write("data", SeparableSample()); }
};

TEST_F(LogTest, EpochsComeInOrderAndOneSummaryLast) {
  for (const std::string optim : {"grad_avg", "admm"}) {
    for (const std::string sync_mode : {"reduce", "async"}) {
      if (optim == "admm" && sync_mode == "async") continue;
      SCOPED_TRACE(optim + " " + sync_mode);
      Succeed({"train", "--data", "data", "--optim", optim, "--sync_mode", sync_mode, "--n_epochs",
               "4", "--valid_ratio", "0.25", "--log", "log"});
      const std::vector<Json> records = Log("log");
      ASSERT_GE(records.size(), 2U);
      for (size_t i = 0; i + 1 < records.size(); ++i) {
        const report::EpochRecord epoch = report::EpochFromJson(records[i]);
        EXPECT_EQ(epoch.epoch, static_cast<int64_t>(i) + 1);
        EXPECT_GE(epoch.seconds, 0);
        EXPECT_GE(epoch.sync_share, 0);
        EXPECT_LE(epoch.sync_share, 1);
        EXPECT_TRUE(epoch.accuracy.has_value());
        EXPECT_TRUE(epoch.valid_loss.has_value());
        EXPECT_TRUE(epoch.valid_accuracy.has_value());
      }
      const report::RunSummary summary = report::SummaryFromJson(records.back());
      EXPECT_EQ(summary.epochs, static_cast<int64_t>(records.size()) - 1);
    }
  }
}

TEST_F(LogTest, TheSummaryHasTheDocumentedKeys) {
  Succeed({"train", "--data", "data", "--test", "data", "--valid_ratio", "0.2", "--workers", "3",
           "--log", "log", "--output", "m"});
  const Json summary = Log("log").back();
  std::set<std::string> keys;
  for (const auto& [key, value] : summary.AsObject()) keys.insert(key);
  for (const char* key :
       {"event",      "model",         "optim",         "sync_mode",  "platform",
        "channel",    "n_workers",     "rows",          "n_features", "epochs",
        "stopped_by", "loss",          "accuracy",      "valid_loss", "valid_accuracy",
        "test_loss",  "test_accuracy", "wall_seconds",  "seconds",    "invocations",
        "memory_mb",  "billed_ms",     "gb_seconds",    "services",   "dollars",
        "cost",       "prices_as_of",  "prices_region", "model_path"}) {
    EXPECT_EQ(keys.count(key), 1U) << key;
  }
  const report::RunSummary parsed = report::SummaryFromJson(summary);
  EXPECT_EQ(parsed.worker_count, 3);
  EXPECT_EQ(parsed.invocations, 3);
  EXPECT_EQ(parsed.rows, 120);
  EXPECT_EQ(parsed.n_features, 8);
  EXPECT_EQ(parsed.model_path, "m");
  EXPECT_EQ(parsed.platform, "local");
  EXPECT_GT(parsed.billed_ms, 0);
  EXPECT_GT(parsed.gb_seconds, 0);
  EXPECT_GT(parsed.wall_seconds, 0);
  ASSERT_FALSE(parsed.services.empty());
  EXPECT_GT(parsed.services.front().get_requests, 0U);
  EXPECT_FALSE(parsed.cost.empty());
}

TEST_F(LogTest, StandardOutputHasALinePerEpochAndASummary) {
  const std::string out = Succeed(
      {"train", "--data", "data", "--optim", "grad_avg", "--n_epochs", "3", "--output", "m.model"});
  EXPECT_THAT(out, ::testing::HasSubstr("epoch"));
  EXPECT_THAT(out, ::testing::ContainsRegex("\n +1 .*\n +2 .*\n +3 .*\n"));
  EXPECT_THAT(out, ::testing::HasSubstr("m.model"));
  EXPECT_EQ(out.find('\x1b'), std::string::npos) << "no terminal, no escape sequences";
  EXPECT_EQ(out.find('\r'), std::string::npos);
}

TEST_F(LogTest, AFailedRunEndsItsLogWithTheError) {
  const Outcome outcome =
      Run({"train", "--data", "data", "--channel", "gopher://x", "--log", "log"});
  EXPECT_NE(outcome.exit_code, 0);
  const std::vector<Json> records = Log("log");
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].At("event").AsString(), "error");
  EXPECT_EQ("lambdaml: " + records[0].At("message").AsString() + "\n", outcome.err);
}

TEST_F(LogTest, ALogInAMissingFolderIsRefused) {
  Refuse({"train", "--data", "data", "--log", "none/log"}, 3, {"none/log"});
}

}  // namespace
}  // namespace lambdaml::test
