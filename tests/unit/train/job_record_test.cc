#include "lambdaml/train/job_record.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>

#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/trigger_function.h"

namespace lambdaml::train {
namespace {

using ::testing::HasSubstr;

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(10)); }

class JobRecordTest : public ::testing::Test {
 protected:
  store::MemoryStore store_;
  JobRecord record_{store_, "job"};
};

TEST_F(JobRecordTest, WhatATriggerKnowsIsReadByTheNextOne) {
  EXPECT_FALSE(record_.State(Soon()).has_value());
  JobState state;
  state.hop = 3;
  state.written_epoch_ms = 1574109732004;
  state.ends_epoch_ms = 1574109733004;
  state.invocations = {{1769, 900}, {1769, 17}};
  state.uses = {{.service = "s3", .get_requests = 5}};
  state.invoked_epoch_ms = 12;
  state.restarts = 2;
  state.dollars = 0.125;
  RankProgress rank = {.generation = 4, .attempt = 2, .is_finished = true, .generations_ended = 4};
  rank.report.rows = 77;
  rank.report.outcome.stopped_by = "n_epochs";
  state.ranks = {rank, {}};
  state.phase = JobPhase::kFailed;
  state.code = base::ErrorCode::kUnavailable;
  state.message = "worker 1 of 2 failed";
  state.summary.emplace().epochs = 9;
  state.output = "s3://b/m";
  record_.PutState(state, Soon());

  const JobState read = record_.State(Soon()).value();
  EXPECT_EQ(ToJson(read).Dump(), ToJson(state).Dump());
  EXPECT_EQ(read.ranks.at(0).report.rows, 77);
  EXPECT_EQ(read.ranks.at(0).attempt, 2);
  EXPECT_EQ(read.phase, JobPhase::kFailed);
  EXPECT_EQ(read.code, base::ErrorCode::kUnavailable);
  EXPECT_EQ(read.summary->epochs, 9);
}

TEST_F(JobRecordTest, AJobThatNobodyHasStartedIsSaidToBeMissing) {
  try {
    record_.Plan(Soon());
    FAIL() << "there is no plan";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_THAT(error.message(), HasSubstr("there is no job job"));
  }
  JobPlan plan;
  plan.job.n_workers = 7;
  plan.prices = "{}";
  plan.started_epoch_ms = 5;
  record_.PutPlan(plan, Soon());
  EXPECT_EQ(record_.Plan(Soon()).job.n_workers, 7);
  EXPECT_EQ(record_.Plan(Soon()).started_epoch_ms, 5);
}

// Lambda delivers events at least once.
TEST_F(JobRecordTest, AHopBelongsToTheInvocationThatWasFirst) {
  EXPECT_EQ(record_.BeginHop(2, "request-1", Soon()), JobRecord::Claim::kFirst);
  EXPECT_EQ(record_.BeginHop(2, "request-2", Soon()), JobRecord::Claim::kRefused);
  EXPECT_EQ(record_.BeginHop(2, "request-1", Soon()), JobRecord::Claim::kRefused)
      << "events that come twice have one id";
  EXPECT_EQ(record_.BeginHop(3, "request-2", Soon()), JobRecord::Claim::kFirst);
}

TEST_F(JobRecordTest, AHopWhoseTriggerHasDiedIsTakenOver) {
  const auto claim_after = [&](std::chrono::milliseconds silence, const JobState& given) {
    const std::string begun =
        fmt::format(R"({{"invocation":"r","begun_epoch_ms":{}}})", NowEpochMs() - 3600'000);
    store_.Put("job/hop/4", base::AsBytes(begun), Soon());
    JobState state = given;
    state.written_epoch_ms = NowEpochMs() - silence.count();
    record_.PutState(state, Soon());
    return record_.BeginHop(4, "r", Soon());
  };
  JobState state;
  state.hop = 4;
  const auto long_ago = kSilenceMax + std::chrono::seconds(5);
  EXPECT_EQ(claim_after(std::chrono::seconds(5), state), JobRecord::Claim::kRefused) << "it lives";
  EXPECT_EQ(claim_after(long_ago, state), JobRecord::Claim::kTakenOver);
  EXPECT_EQ(record_.BeginHop(4, "s", Soon()), JobRecord::Claim::kRefused) << "by one only";
  state.hop = 3;
  EXPECT_EQ(claim_after(std::chrono::seconds(0), state), JobRecord::Claim::kTakenOver)
      << "it died before it wrote anything";
  state.hop = 5;
  EXPECT_EQ(claim_after(long_ago, state), JobRecord::Claim::kRefused) << "the job is further";
  state.hop = 4;
  state.phase = JobPhase::kFinished;
  EXPECT_EQ(claim_after(long_ago, state), JobRecord::Claim::kRefused) << "the job is over";
}

TEST_F(JobRecordTest, DeletingOneKeyCancelsTheJob) {
  EXPECT_FALSE(record_.IsRunning(Soon()));
  record_.PutRunning(Soon());
  EXPECT_TRUE(record_.IsRunning(Soon()));
  record_.DeleteRunning(Soon());
  EXPECT_FALSE(record_.IsRunning(Soon()));
}

TEST(TriggerHop, IsToldFromAWorkersPayload) {
  const TriggerHop hop = {.run = "s3://b/jobs/j", .job_id = "j", .hop = 17};
  const auto read = TriggerHopIn(base::Json::Parse(ToPayload(hop), "payload"));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->run, hop.run);
  EXPECT_EQ(read->job_id, "j");
  EXPECT_EQ(read->hop, 17);
  EXPECT_FALSE(TriggerHopIn(base::Json::Parse(R"({"model":"lr"})", "payload")).has_value());
  EXPECT_FALSE(TriggerHopIn(base::Json::Parse("[1]", "payload")).has_value());
  EXPECT_THROW(TriggerHopIn(base::Json::Parse(R"({"trigger_hop":{}})", "payload")), base::Error);
}

}  // namespace
}  // namespace lambdaml::train
