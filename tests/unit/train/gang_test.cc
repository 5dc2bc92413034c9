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

// Answers each payload by a function of its own.
class FakeInvoker final : public faas::Invoker {
 public:
  using Answer = std::function<faas::InvokeResult()>;

  void On(const std::string& payload, Answer answer) { answers_[payload] = std::move(answer); }

  faas::InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                            const base::Deadline& deadline) override {
    EXPECT_EQ(function_name, "f");
    EXPECT_FALSE(deadline.Expired());
    return answers_.at(payload)();
  }
  void InvokeAsync(const std::string&, const std::string&, const base::Deadline&) override {
    ADD_FAILURE() << "a gang waits for its workers";
  }

 private:
  std::map<std::string, Answer> answers_;
};

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
  invoker.On("zero", [] { return faas::InvokeResult{"", "done", "id", ""}; });
  invoker.On("one", answer);
  Gang gang(invoker, "f", {"zero", "one"}, base::Deadline::After(kLong));
  EXPECT_TRUE(gang.WaitFor(kLong));
  return gang.failure().value();
}

void ExpectFailure(const FakeInvoker::Answer& answer, ErrorCode code, const std::string& message) {
  const WorkerFailure failure = FailureOf(answer);
  EXPECT_EQ(failure.rank, 1);
  EXPECT_EQ(failure.error.code(), code) << failure.error.message();
  EXPECT_EQ(failure.error.message(), message);
}

TEST(Gang, BringsTheResponsesHomeInTheOrderOfRanks) {
  FakeInvoker invoker;
  std::promise<void> last_is_done;
  invoker.On("a", [&] {
    last_is_done.get_future().wait();
    return faas::InvokeResult{"", "A", "id", ""};
  });
  invoker.On("b", [] { return faas::InvokeResult{"", "B", "id", ""}; });
  invoker.On("c", [&] {
    last_is_done.set_value();
    return faas::InvokeResult{"", "C", "id", ""};
  });
  Gang gang(invoker, "f", {"a", "b", "c"}, base::Deadline::After(kLong));
  EXPECT_TRUE(gang.WaitFor(kLong));
  EXPECT_FALSE(gang.failure().has_value());
  EXPECT_EQ(gang.TakeResponses(), (std::vector<std::string>{"A", "B", "C"}));
}

TEST(Gang, WaitsUntilAllHaveEndedOrOneHasFailed) {
  FakeInvoker invoker;
  std::promise<void> may_end;
  std::shared_future<void> ending = may_end.get_future().share();
  std::promise<void> may_fail;
  invoker.On("well", [=] {
    ending.wait();
    return faas::InvokeResult{"", "A", "id", ""};
  });
  invoker.On("ill", [&] {
    may_fail.get_future().wait();
    return Failed("InvalidData", "bad shard");
  });
  Gang gang(invoker, "f", {"well", "ill"}, base::Deadline::After(kLong));
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
  invoker.On("echo", [&] {
    first_is_known.get_future().wait();
    return Failed("DeadlineExceeded", "round 3: rank 1 is missing");
  });
  invoker.On("cause", [] { return Failed("InvalidData", "bad shard"); });
  Gang gang(invoker, "f", {"echo", "cause"}, base::Deadline::After(kLong));
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
                ErrorCode::kInternal, "worker 1: odd");
}

}  // namespace
}  // namespace lambdaml::train
