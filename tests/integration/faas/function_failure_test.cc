// Every way in which a function can fail, and what Lambda's Invoke API says of it.
#include <csignal>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

#include "tests/integration/faas/platform_fixture.h"

namespace lambdaml::faas {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class FunctionFailureTest : public PlatformTest {
 protected:
  // Expects a failed invocation of that type, with its message in Lambda's form, recorded so.
  void ExpectFailure(const InvokeResult& result, const std::string& type,
                     const std::string& message) {
    EXPECT_EQ(result.function_error, "Unhandled");
    EXPECT_EQ(ErrorMember(result, "errorType"), type);
    EXPECT_EQ(ErrorMember(result, "errorMessage"), message);
    const auto records = platform_->TakeRecords();
    ASSERT_FALSE(records.empty());
    EXPECT_EQ(records.back().error_type, type);
    EXPECT_EQ(records.back().request_id, result.request_id);
  }
  void ExpectFailureOfPlatform(const InvokeResult& result, const std::string& type,
                               const std::string& cause) {
    ExpectFailure(result, type, "RequestId: " + result.request_id + " Error: " + cause);
  }
  void ExpectStillServing() { EXPECT_EQ(Invoke("{}").payload, "{}"); }
  int64_t Count() {
    return base::Json::Parse(Invoke(R"({"do":"describe"})").payload, "p").At("count").AsInteger();
  }
};

TEST_F(FunctionFailureTest, AnErrorThrownByTheHandlerKeepsItsCodeAndTheEnvironmentLivesOn) {
  platform_->CreateFunction(Config());
  EXPECT_EQ(Count(), 1);
  const InvokeResult result = Invoke(R"({"do":"throw","what":"Error"})");
  EXPECT_TRUE(base::Json::Parse(result.payload, "p").At("stackTrace").AsArray().empty());
  ExpectFailure(result, "InvalidData", "a.libsvm:7: bad \"number\"");
  EXPECT_EQ(Count(), 2);
}

TEST_F(FunctionFailureTest, AnyExceptionBecomesAnError) {
  platform_->CreateFunction(Config());
  ExpectFailure(Invoke(R"({"do":"throw","what":"exception"})"), "Internal", "plain");
  ExpectFailure(Invoke(R"({"do":"throw","what":"bad_alloc"})"), "ResourceExhausted",
                "the function's memory is exhausted: std::bad_alloc");
  ExpectFailure(Invoke(R"({"do":"throw","what":"int"})"), "Internal",
                "an exception of an unknown type");
  ExpectStillServing();
}

TEST_F(FunctionFailureTest, AProcessThatExitsIsReportedWithItsStatus) {
  platform_->CreateFunction(Config());
  ExpectFailureOfPlatform(Invoke(R"({"do":"exit","status":3})"), "Runtime.ExitError",
                          "Runtime exited with error: exit status 3");
  ExpectFailureOfPlatform(Invoke(R"({"do":"exit","status":0})"), "Runtime.ExitError",
                          "Runtime exited without providing a reason");
  ExpectStillServing();
}

TEST_F(FunctionFailureTest, AProcessKilledByASignalIsReportedWithItsName) {
  platform_->CreateFunction(Config());
  ExpectFailureOfPlatform(Invoke(R"({"do":"signal","number":9})"), "Runtime.ExitError",
                          "Runtime exited with error: signal: killed");
  ExpectFailureOfPlatform(Invoke(R"({"do":"signal","number":15})"), "Runtime.ExitError",
                          "Runtime exited with error: signal: terminated");
  ExpectStillServing();
}

TEST_F(FunctionFailureTest, ATimeOutKillsTheProcessAndSaysSo) {
  FunctionConfig config = Config();
  config.timeout = std::chrono::milliseconds(1500);
  platform_->CreateFunction(config);
  const InvokeResult result = Invoke(R"({"do":"sleep","ms":60000})");
  EXPECT_THAT(result.log_tail, HasSubstr(" Task timed out after 1.50 seconds\n"));
  EXPECT_THAT(result.log_tail, HasSubstr("Status: timeout"));
  ExpectFailureOfPlatform(result, "Sandbox.Timedout", "Task timed out after 1.50 seconds");
  ExpectStillServing();
}

TEST_F(FunctionFailureTest, MemoryAboveTheLimitEndsTheProcess) {
  FunctionConfig config = Config();
  config.memory_mb = 256;
  platform_->CreateFunction(config);
  const InvokeResult result = Invoke(R"({"do":"allocate","mb":400,"hold_ms":60000})");
  EXPECT_THAT(result.log_tail, HasSubstr("Status: error\tError Type: Runtime.OutOfMemory"));
  ExpectFailureOfPlatform(result, "Runtime.OutOfMemory",
                          "Runtime exited with error: signal: killed");
  ExpectStillServing();
}

TEST_F(FunctionFailureTest, MappedMemoryCountsAgainstTheLimitToo) {
  FunctionConfig config = Config();
  config.memory_mb = 256;
  platform_->CreateFunction(config);
  const std::string request = R"({"do":"allocate","mb":400,"shared":true,"hold_ms":60000})";
  EXPECT_THAT(Invoke(request).payload, HasSubstr("Runtime.OutOfMemory"));
}

TEST_F(FunctionFailureTest, TheMostMemoryUsedIsReported) {
  platform_->CreateFunction(Config());
  Invoke("{}");
  Invoke(R"({"do":"allocate","mb":300,"hold_ms":0})");
  const auto records = platform_->TakeRecords();
  ASSERT_EQ(records.size(), 2U);
  const uint64_t grown = records[1].memory_used_max_bytes - records[0].memory_used_max_bytes;
  EXPECT_NEAR(static_cast<double>(grown), 300.0 * (1 << 20), 20.0 * (1 << 20));
}

TEST_F(FunctionFailureTest, AResponseAboveSixMegabytesIsAnError) {
  platform_->CreateFunction(Config());
  ExpectFailure(Invoke(R"({"do":"large","bytes":6291557})"), "Function.ResponseSizeTooLarge",
                "Response payload size (6291557 bytes) exceeded maximum allowed payload size "
                "(6291556 bytes).");
  EXPECT_EQ(Invoke(R"({"do":"large","bytes":6291556})").payload.size(), 6291556U);
}

TEST_F(FunctionFailureTest, AProcessThatEndsBeforeItsFirstNextIsReported) {
  FunctionConfig config = Config();
  config.environment = {{"TEST_INIT", "exit"}};
  platform_->CreateFunction(config);
  ExpectFailureOfPlatform(Invoke("{}"), "Runtime.ExitError",
                          "Runtime exited with error: exit status 3");
}

TEST_F(FunctionFailureTest, AnInitErrorIsTheAnswerToTheInvocationThatCausedTheStart) {
  for (const std::string init : {"error", "error_and_hang"}) {
    FunctionConfig config = Config(init);
    config.environment = {{"TEST_INIT", init}};
    platform_->CreateFunction(config);
    const InvokeResult result = Invoke("{}", init);
    ExpectFailure(result, "Test.NoData", "there is no data");
  }
}

TEST_F(FunctionFailureTest, AnInitPhaseThatTakesTooLongIsATimeOut) {
  FunctionConfig config = Config();
  config.init_timeout = std::chrono::milliseconds(500);
  config.environment = {{"TEST_INIT", "hang"}};
  platform_->CreateFunction(config);
  ExpectFailureOfPlatform(Invoke("{}"), "Sandbox.Timedout", "Task timed out after 0.50 seconds");
}

TEST_F(FunctionFailureTest, AProgramThatCannotStartIsAnErrorOfThePlatform) {
  const std::string program = folder() + "/program";
  std::ofstream(program) << "#!/does/not/exist\n";
  std::filesystem::permissions(program, std::filesystem::perms::owner_all);
  FunctionConfig config = Config();
  config.program = program;
  platform_->CreateFunction(config);
  for (int i = 0; i < 2; ++i) {
    try {
      Invoke("{}");
      ADD_FAILURE() << "no error";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
      EXPECT_THAT(error.message(), HasSubstr("start " + program + ": No such file or directory"));
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch()));
}

TEST_F(FunctionFailureTest, AnIdleEnvironmentThatDiesIsReplaced) {
  platform_->CreateFunction(Config());
  const auto pid_of = [&] {
    const std::string payload = Invoke(R"({"do":"describe"})").payload;
    return static_cast<pid_t>(base::Json::Parse(payload, "p").At("pid").AsInteger());
  };
  const pid_t first = pid_of();
  ::kill(first, SIGKILL);
  while (!std::filesystem::is_empty(scratch())) std::this_thread::yield();
  EXPECT_NE(pid_of(), first);
}

}  // namespace
}  // namespace lambdaml::faas
