#include "lambdaml/train/gang.h"

#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>

#include "lambdaml/base/json.h"

namespace lambdaml::train {
namespace {

using base::ErrorCode;
using testing::HasSubstr;
using testing::Not;

constexpr base::Duration kLong = std::chrono::seconds(60);
constexpr base::Duration kShort = std::chrono::milliseconds(1);

// Answers each payload, "<rank>.<generation>.<attempt>", by a function of its own.
class FakeInvoker final : public faas::Invoker {
 public:
  using Answer = std::function<faas::InvokeResult()>;

  void On(const std::string& payload, Answer answer) { answers_[payload] = std::move(answer); }

  faas::InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                            const base::Deadline& deadline) override {
    EXPECT_EQ(function_name, "f");
    EXPECT_FALSE(deadline.Expired());
    const auto answer = answers_.find(payload);
    if (answer == answers_.end()) throw std::logic_error("unexpected invocation " + payload);
    return answer->second();
  }
  void InvokeAsync(const std::string&, const std::string&, const base::Deadline&) override {
    ADD_FAILURE() << "a gang waits for its workers";
  }

 private:
  std::map<std::string, Answer> answers_;
};

GangOptions OptionsOf(int64_t workers, int64_t max_restarts = 0) {
  return {.function_name = "f",
          .worker_count = workers,
          .max_restarts = max_restarts,
          .patience = kLong,
          .payload_of = [](int64_t rank, int64_t generation, int64_t attempt) {
            return std::to_string(rank) + "." + std::to_string(generation) + "." +
                   std::to_string(attempt);
          }};
}

faas::InvokeResult Done(int64_t rank, bool is_finished = true, double seconds = 1) {
  const WorkerReport report = {.rank = rank,
                               .started_epoch_ms = 100 + static_cast<int64_t>(seconds),
                               .load_seconds = seconds,
                               .compute_seconds = 10 * seconds,
                               .synchronise_seconds = 100 * seconds,
                               .resident_bytes_max = static_cast<uint64_t>(seconds),
                               .rows = 7,
                               .uses = {{.service = "file", .get_requests = 1}},
                               .is_finished = is_finished,
                               .outcome = {.epochs = 5}};
  return {"", ToJson(report).Dump(), "id", ""};
}

faas::InvokeResult Failed(const std::string& type, const std::string& message,
                          const std::string& log_tail = "") {
  base::Json json;
  json.Set("errorType", type);
  json.Set("errorMessage", message);
  return {"Unhandled", json.Dump(), "id", log_tail};
}

// The failure of rank 1 of 2 whose worker answers so; rank 0 does well.
WorkerFailure FailureOf(const FakeInvoker::Answer& answer) {
  FakeInvoker invoker;
  invoker.On("0.0.1", [] { return Done(0); });
  invoker.On("1.0.1", answer);
  Gang gang(invoker, OptionsOf(2));
  EXPECT_TRUE(gang.WaitFor(kLong));
  while (!gang.failure()) gang.WaitFor(kLong);
  return gang.failure().value();
}

void ExpectFailure(const FakeInvoker::Answer& answer, ErrorCode code, const std::string& message) {
  const WorkerFailure failure = FailureOf(answer);
  EXPECT_EQ(failure.rank, 1);
  EXPECT_EQ(failure.error.code(), code) << failure.error.message();
  EXPECT_EQ(failure.error.message(), message);
}

TEST(Gang, BringsTheReportsHomeInTheOrderOfRanks) {
  FakeInvoker invoker;
  std::promise<void> last_is_done;
  invoker.On("0.0.1", [&] {
    last_is_done.get_future().wait();
    return Done(0);
  });
  invoker.On("1.0.1", [] { return Done(1); });
  invoker.On("2.0.1", [&] {
    last_is_done.set_value();
    return Done(2);
  });
  Gang gang(invoker, OptionsOf(3));
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_FALSE(gang.failure().has_value());
  const std::vector<WorkerReport> reports = gang.TakeReports();
  ASSERT_EQ(reports.size(), 3U);
  for (int64_t rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(reports[static_cast<size_t>(rank)].rank, rank);
    EXPECT_EQ(reports[static_cast<size_t>(rank)].outcome.epochs, 5);
  }
  EXPECT_EQ(gang.generations(), 1);
  EXPECT_EQ(gang.restarts(), 0);
}

TEST(Gang, InvokesTheNextGenerationUntilTheJobIsFinishedAndAddsUpWhatTheyDid) {
  FakeInvoker invoker;
  invoker.On("0.0.1", [] { return Done(0, false, 1); });
  invoker.On("0.1.1", [] { return Done(0, false, 2); });
  invoker.On("0.2.1", [] { return Done(0, true, 4); });
  invoker.On("1.0.1", [] { return Done(1, true, 1); });
  Gang gang(invoker, OptionsOf(2));
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_EQ(gang.generations(), 3);
  const WorkerReport report = gang.TakeReports().at(0);
  EXPECT_EQ(report.load_seconds, 7);
  EXPECT_EQ(report.compute_seconds, 70);
  EXPECT_EQ(report.synchronise_seconds, 700);
  EXPECT_EQ(report.resident_bytes_max, 4U);
  ASSERT_EQ(report.uses.size(), 1U) << "one entry for each service";
  EXPECT_EQ(report.uses[0].get_requests, 3U);
  EXPECT_EQ(report.started_epoch_ms, 101);
  EXPECT_EQ(report.rows, 7);
}

TEST(Gang, EndsAfterItsLastGenerationAndAnotherGangGoesOnFromThere) {
  FakeInvoker invoker;
  invoker.On("0.0.1", [] { return Done(0, false, 1); });
  invoker.On("1.0.1", [] { return Failed("Runtime.ExitError", "signal: killed"); });
  GangOptions first = OptionsOf(2, 3);
  first.last_generation = 0;
  first.last_start = base::Deadline::After(base::Duration::zero());
  Gang gang(invoker, first);
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_FALSE(gang.failure().has_value());
  const std::vector<RankProgress> left = gang.TakeProgress();
  EXPECT_EQ(left[0].generation, 1);
  EXPECT_EQ(left[0].attempt, 1);
  EXPECT_EQ(left[1].generation, 0);
  EXPECT_EQ(left[1].attempt, 2) << "its failure may pass, but it is too late";

  invoker.On("0.1.1", [] { return Done(0, true, 2); });
  invoker.On("1.0.2", [] { return Done(1, false, 1); });
  invoker.On("1.1.1", [] { return Done(1, true, 2); });
  GangOptions second = OptionsOf(2, 3);
  second.begin = left;
  second.last_generation = 1;
  Gang rest(invoker, second);
  EXPECT_TRUE(rest.WaitFor(kLong));
  EXPECT_EQ(rest.generations(), 2);
  const std::vector<RankProgress> end = rest.TakeProgress();
  EXPECT_TRUE(end[0].is_finished && end[1].is_finished);
  EXPECT_EQ(end[0].report.load_seconds, 3);
  EXPECT_EQ(end[1].report.load_seconds, 3);
}

TEST(Gang, AnAbandonedGangLeavesItsRanksToTheNextAttempt) {
  FakeInvoker invoker;
  std::promise<void> invoked;
  std::promise<void> cut;
  invoker.On("0.0.1", [&]() -> faas::InvokeResult {
    invoked.set_value();
    cut.get_future().wait();
    throw base::Error(ErrorCode::kCancelled, "cut");
  });
  Gang gang(invoker, OptionsOf(1));
  invoked.get_future().wait();
  gang.Abandon();
  cut.set_value();
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_FALSE(gang.failure().has_value());
  EXPECT_EQ(gang.TakeProgress().at(0).attempt, 2);
}

TEST(Gang, StartsAWorkerAgainWhoseFailureMayPass) {
  FakeInvoker invoker;
  invoker.On("0.0.1", [] { return Failed("Runtime.ExitError", "signal: killed"); });
  invoker.On("0.0.2", [] { return Failed("Sandbox.Timedout", "timed out"); });
  invoker.On("0.0.3", [] { return Done(0, false); });
  invoker.On("0.1.1", [] { return Failed("Unavailable", "no channel"); });
  invoker.On("0.1.2", [] { return Done(0); });
  std::vector<std::string> messages;
  GangOptions options = OptionsOf(1, 2);
  options.on_restart = [&](const std::string& message) { messages.push_back(message); };
  Gang gang(invoker, options);
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_FALSE(gang.failure().has_value());
  EXPECT_EQ(gang.restarts(), 3);
  EXPECT_EQ(gang.generations(), 2);
  ASSERT_EQ(messages.size(), 3U);
  EXPECT_EQ(messages[0],
            "starting worker 0 again, in generation 0: worker 0 of 1 failed: signal: killed");
}

TEST(Gang, GivesAWorkerUpThatFailsTooOftenInOneGeneration) {
  FakeInvoker invoker;
  for (const char* payload : {"0.0.1", "0.0.2", "0.0.3"}) {
    invoker.On(payload, [] { return Failed("Runtime.ExitError", "exit status 1"); });
  }
  Gang gang(invoker, OptionsOf(1, 2));
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_EQ(gang.failure()->error.message(),
            "worker 0 of 1 failed: exit status 1 (attempt 3 of generation 0)");
}

TEST(Gang, DoesNotRepeatWhatTheJobItselfIsAtFaultFor) {
  for (const char* type : {"InvalidArgument", "InvalidData", "Runtime.OutOfMemory", "NotFound"}) {
    FakeInvoker invoker;
    invoker.On("0.0.1", [&] { return Failed(type, "what"); });
    Gang gang(invoker, OptionsOf(1, 5));
    EXPECT_TRUE(gang.WaitFor(kLong));
    EXPECT_EQ(gang.restarts(), 0) << type;
    EXPECT_TRUE(gang.failure().has_value());
  }
}

TEST(Gang, InvokesNothingMoreOnceItIsStopped) {
  FakeInvoker invoker;
  std::promise<void> may_end;
  invoker.On("0.0.1", [&] {
    may_end.get_future().wait();
    return Failed("Runtime.ExitError", "killed");
  });
  Gang gang(invoker, OptionsOf(1, 5));
  gang.Stop();
  may_end.set_value();
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_EQ(gang.restarts(), 0);
}

TEST(Gang, WaitsUntilAllHaveEndedOrOneHasFailed) {
  FakeInvoker invoker;
  std::promise<void> may_end;
  std::shared_future<void> ending = may_end.get_future().share();
  std::promise<void> may_fail;
  invoker.On("0.0.1", [=] {
    ending.wait();
    return Done(0);
  });
  invoker.On("1.0.1", [&] {
    may_fail.get_future().wait();
    return Failed("InvalidData", "bad shard");
  });
  Gang gang(invoker, OptionsOf(2));
  EXPECT_FALSE(gang.WaitFor(kShort));
  EXPECT_FALSE(gang.failure().has_value());
  may_fail.set_value();
  EXPECT_TRUE(gang.WaitFor(kLong));  // though the other still runs
  EXPECT_EQ(gang.failure()->rank, 1);
  may_end.set_value();
}

TEST(Gang, TheFirstFailureIsTheOneThatCounts) {
  FakeInvoker invoker;
  std::promise<void> first_is_known;
  invoker.On("0.0.1", [&] {
    first_is_known.get_future().wait();
    return Failed("DeadlineExceeded", "round 3: rank 1 is missing");
  });
  invoker.On("1.0.1", [] { return Failed("InvalidData", "bad shard"); });
  Gang gang(invoker, OptionsOf(2));
  ASSERT_TRUE(gang.WaitFor(kLong));
  first_is_known.set_value();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(gang.failure()->rank, 1);
    EXPECT_EQ(gang.failure()->error.message(), "worker 1 of 2 failed: bad shard");
    gang.WaitFor(kShort);
  }
}

TEST(Gang, OurOwnErrorsKeepTheirCodes) {
  for (const ErrorCode code :
       {ErrorCode::kInvalidArgument, ErrorCode::kInvalidData, ErrorCode::kNotFound,
        ErrorCode::kAlreadyExists, ErrorCode::kPermissionDenied, ErrorCode::kResourceExhausted,
        ErrorCode::kUnavailable, ErrorCode::kDeadlineExceeded, ErrorCode::kCancelled,
        ErrorCode::kCorrupt, ErrorCode::kInternal}) {
    ExpectFailure([&] { return Failed(std::string(base::ErrorCodeName(code)), "what", "log"); },
                  code, "worker 1 of 2 failed: what");
  }
  ExpectFailure([] { return Failed("std::bad_alloc", "what"); }, ErrorCode::kInternal,
                "worker 1 of 2 failed: what");
}

TEST(Gang, WhatHappenedToTheProcessComesWithAdviceAndTheEndOfItsLog) {
  ExpectFailure([] { return Failed("Sandbox.Timedout", "timed out after 3 seconds"); },
                ErrorCode::kDeadlineExceeded,
                "worker 1 of 2 failed: timed out after 3 seconds; give --timeout more, or more "
                "--workers");
  for (const char* type : {"Runtime.OutOfMemory", "OutOfMemory"}) {
    ExpectFailure([&] { return Failed(type, "killed"); }, ErrorCode::kResourceExhausted,
                  "worker 1 of 2 failed: killed; give --memory_mb more, or more --workers");
  }
  ExpectFailure([] { return Failed("Runtime.ExitError", "exit status 1", "last words\n"); },
                ErrorCode::kUnavailable,
                "worker 1 of 2 failed: exit status 1\nits log ends:\n  last words");
  ExpectFailure([] { return Failed("Sandbox.Failure", "gone"); }, ErrorCode::kUnavailable,
                "worker 1 of 2 failed: gone");
}

TEST(Gang, AnAnswerOfAnotherShapeIsShownAsItIs) {
  for (const std::string payload :
       {"<html>", "", "[1,2]", "3", "{}", "{\"errorType\":7}", "{\"errorMessage\":null}"}) {
    ExpectFailure(
        [&] {
          return faas::InvokeResult{"Unhandled", payload, "id", ""};
        },
        ErrorCode::kInternal, "worker 1 of 2 failed: " + payload);
  }
}

TEST(Gang, APlatformThatFailsIsAFailureOfThatRank) {
  ExpectFailure(
      []() -> faas::InvokeResult { throw base::Error(ErrorCode::kResourceExhausted, "throttled"); },
      ErrorCode::kResourceExhausted, "worker 1 of 2: throttled");
  ExpectFailure([]() -> faas::InvokeResult { throw std::runtime_error("odd"); },
                ErrorCode::kInternal, "worker 1 of 2: odd");
}

}  // namespace
}  // namespace lambdaml::train
