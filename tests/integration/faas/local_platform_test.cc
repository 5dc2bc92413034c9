#include "lambdaml/faas/local_platform.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"

#include "tests/integration/faas/platform_fixture.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class LocalPlatformTest : public PlatformTest {
 protected:
  ErrorCode CodeOfCreating(const FunctionConfig& config) {
    try {
      platform_->CreateFunction(config);
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }
};

TEST_F(LocalPlatformTest, AnInvocationReturnsTheHandlersResponse) {
  platform_->CreateFunction(Config());
  const InvokeResult result = Invoke(R"({"do":"echo","value":[1,2]})");
  EXPECT_FALSE(result.failed());
  EXPECT_EQ(result.payload, R"({"do":"echo","value":[1,2]})");
  const std::string hex4 = "[0-9a-f][0-9a-f][0-9a-f][0-9a-f]";
  EXPECT_THAT(result.request_id, MatchesRegex(hex4 + hex4 + "-" + hex4 +
                                              "-4[0-9a-f]+-[89ab][0-9a-f]+-" + hex4 + hex4 + hex4));
}

TEST_F(LocalPlatformTest, AnEnvironmentIsReusedWhileWarm) {
  platform_->CreateFunction(Config());
  const Json first = Json::Parse(Invoke(R"({"do":"describe"})").payload, "first");
  const Json second = Json::Parse(Invoke(R"({"do":"describe"})").payload, "second");
  EXPECT_EQ(first.At("pid").AsInteger(), second.At("pid").AsInteger());
  EXPECT_EQ(second.At("count").AsInteger(), 2);
  const std::vector<InvocationRecord> records = platform_->TakeRecords();
  ASSERT_EQ(records.size(), 2U);
  EXPECT_TRUE(records[0].cold_start);
  EXPECT_GT(records[0].init_duration_ms, 0);
  EXPECT_FALSE(records[1].cold_start);
  EXPECT_EQ(records[1].init_duration_ms, 0);
  EXPECT_GE(records[1].billed_duration_ms, records[1].duration_ms);
  EXPECT_EQ(records[1].memory_mb, 4096);
  EXPECT_GT(records[1].memory_used_max_bytes, 0U);
  EXPECT_EQ(records[1].error_type, "");
  EXPECT_EQ(records[1].request_id, second.At("request_id").AsString());
  EXPECT_TRUE(platform_->TakeRecords().empty());
}

TEST_F(LocalPlatformTest, TheRuntimeApiGivesAllHeaders) {
  platform_->CreateFunction(Config());
  const InvokeResult result = Invoke(R"({"do":"describe"})");
  const Json seen = Json::Parse(result.payload, "payload");
  EXPECT_EQ(seen.At("request_id").AsString(), result.request_id);
  EXPECT_THAT(seen.At("arn").AsString(), MatchesRegex("arn:aws:lambda:.*:function:worker"));
  EXPECT_THAT(seen.At("trace_id").AsString(), MatchesRegex("Root=1-[0-9a-f]+-[0-9a-f]+;.*"));
  EXPECT_GT(seen.At("remaining_ms").AsInteger(), 0);
  EXPECT_LE(seen.At("remaining_ms").AsInteger(), 60'000);
}

TEST_F(LocalPlatformTest, AnEmptyPayloadArrivesAsAnEmptyObject) {
  platform_->CreateFunction(Config());
  EXPECT_EQ(Invoke("").payload, "{}");
}

TEST_F(LocalPlatformTest, InvocationsAtTheSameTimeRunInDifferentEnvironments) {
  platform_->CreateFunction(Config());
  auto invoker = MakeHttpInvoker(platform_->endpoint());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] { invoker->Invoke("worker", R"({"do":"sleep","ms":1000})", Soon()); });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> logs;
  for (const InvocationRecord& record : platform_->TakeRecords()) {
    EXPECT_TRUE(record.cold_start);
    EXPECT_GE(record.duration_ms, 1000);
    logs.insert(record.log_path);
  }
  EXPECT_EQ(logs.size(), 4U);
}

TEST_F(LocalPlatformTest, TheMostRecentlyUsedEnvironmentIsReusedFirst) {
  platform_->CreateFunction(Config());
  auto invoker = MakeHttpInvoker(platform_->endpoint());
  std::thread longer([&] { invoker->Invoke("worker", R"({"do":"sleep","ms":1500})", Soon()); });
  while (!base::FileExists(logs() + "/worker-1.log")) std::this_thread::yield();
  invoker->Invoke("worker", "{}", Soon());
  longer.join();
  for (int i = 0; i < 3; ++i) invoker->Invoke("worker", "{}", Soon());
  const std::vector<InvocationRecord> records = platform_->TakeRecords();
  ASSERT_EQ(records.size(), 5U);
  EXPECT_EQ(records[0].log_path, logs() + "/worker-2.log");
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(records[i].log_path, logs() + "/worker-1.log");
}

TEST_F(LocalPlatformTest, ManyThreadsInvokeAtOnceAndEachGetsItsOwnAnswer) {
  FunctionConfig config = Config();
  platform_->CreateFunction(config);
  auto invoker = MakeHttpInvoker(platform_->endpoint());
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) {
        const std::string object = fmt::format(R"({{"value":[{},{}]}})", i, j);
        EXPECT_EQ(invoker->Invoke("worker", object, Soon()).payload, object);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(platform_->TakeRecords().size(), 300U);
}

TEST_F(LocalPlatformTest, AFunctionSeesOnlyTheVariablesThatLambdaSetsAndItsOwn) {
  ::setenv("LAMBDAML_TEST_SECRET", "x", 1);
  FunctionConfig config = Config();
  config.environment = {{"MINE", "a=b"}, {"LANG", "C"}};
  platform_->CreateFunction(config);
  const Json variables = Json::Parse(Invoke(R"({"do":"environment"})").payload, "payload");
  EXPECT_EQ(variables.Find("LAMBDAML_TEST_SECRET"), nullptr);
  EXPECT_EQ(variables.At("MINE").AsString(), "a=b");
  EXPECT_EQ(variables.At("LANG").AsString(), "C");
  EXPECT_EQ(variables.At("AWS_LAMBDA_FUNCTION_NAME").AsString(), "worker");
  EXPECT_EQ(variables.At("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").AsString(), "4096");
  EXPECT_EQ(variables.At("AWS_LAMBDA_FUNCTION_VERSION").AsString(), "$LATEST");
  EXPECT_THAT(variables.At("AWS_LAMBDA_LOG_STREAM_NAME").AsString(), HasSubstr("/[$LATEST]"));
  EXPECT_THAT(variables.At("AWS_LAMBDA_RUNTIME_API").AsString(), StartsWith("127.0.0.1:"));
  EXPECT_THAT(variables.At("TMPDIR").AsString(), StartsWith(scratch() + "/"));
  EXPECT_EQ(variables.At("_HANDLER").AsString(), "faas_test_function");
}

TEST_F(LocalPlatformTest, ArgumentsReachTheProgram) {
  FunctionConfig config = Config();
  config.program = "/bin/sh";
  config.arguments = {"-c", "exit \"$0\"", "7"};
  platform_->CreateFunction(config);
  EXPECT_THAT(ErrorMember(Invoke("{}"), "errorMessage"), EndsWith("exit status 7"));
}

TEST_F(LocalPlatformTest, ScratchIsKeptWhileWarmAndDeletedWithTheEnvironment) {
  platform_->CreateFunction(Config());
  const std::string path =
      Json::Parse(Invoke(R"({"do":"write"})").payload, "payload").AsString() + "/written";
  Invoke("{}");
  EXPECT_TRUE(base::FileExists(path));
  Invoke(R"({"do":"exit","status":1})");
  Invoke("{}");  // a new environment: the old one is gone by now
  EXPECT_FALSE(base::FileExists(path));
}

TEST_F(LocalPlatformTest, WhatAFunctionPrintsIsInItsLogAndInTheAnswer) {
  platform_->CreateFunction(Config());
  Invoke(R"({"do":"print","text":"first words\n"})");
  const InvokeResult result = Invoke(R"({"do":"print","text":"second words\n"})");
  EXPECT_THAT(result.log_tail, StartsWith("START RequestId: " + result.request_id));
  EXPECT_THAT(result.log_tail, HasSubstr("second words\nEND RequestId: " + result.request_id));
  EXPECT_THAT(result.log_tail,
              HasSubstr("\nREPORT RequestId: " + result.request_id + "\tDuration: "));
  EXPECT_THAT(result.log_tail, HasSubstr("\tMax Memory Used: "));
  EXPECT_THAT(result.log_tail, Not(HasSubstr("first words")));
  EXPECT_THAT(ReadFile(logs() + "/worker-1.log"), HasSubstr("first words\n"));
}

TEST_F(LocalPlatformTest, TheLogTailHoldsTheLastFourKilobytes) {
  platform_->CreateFunction(Config());
  const std::string text(10'000, 'x');
  const InvokeResult result = Invoke(R"({"do":"print","text":")" + text + R"(\n"})");
  EXPECT_EQ(result.log_tail.size(), 4096U);
  EXPECT_THAT(result.log_tail, HasSubstr("REPORT"));
}

TEST_F(LocalPlatformTest, SeveralFunctionsAreKeptApart) {
  platform_->CreateFunction(Config("one"));
  FunctionConfig two = Config("two");
  two.memory_mb = 2048;
  platform_->CreateFunction(two);
  const auto memory_of = [&](const std::string& name) {
    return Json::Parse(Invoke(R"({"do":"environment"})", name).payload, name)
        .At("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        .AsString();
  };
  EXPECT_EQ(memory_of("one"), "4096");
  EXPECT_EQ(memory_of("two"), "2048");
}

TEST_F(LocalPlatformTest, AWrongConfigurationIsRefused) {
  platform_->CreateFunction(Config());
  EXPECT_EQ(CodeOfCreating(Config()), ErrorCode::kAlreadyExists);
  EXPECT_EQ(CodeOfCreating(Config("")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOfCreating(Config("a/b")), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOfCreating(Config(std::string(65, 'a'))), ErrorCode::kInvalidArgument);
  FunctionConfig config = Config("other");
  config.memory_mb = 0;
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kInvalidArgument);
  config = Config("other");
  config.timeout = {};
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kInvalidArgument);
  config = Config("other");
  config.init_timeout = {};
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kInvalidArgument);
  config = Config("other");
  config.concurrency_max = 0;
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kInvalidArgument);
  config = Config("other");
  config.program = folder() + "/missing";
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kNotFound);
  config.program = folder();
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kInvalidArgument);
  config = Config("other");
  config.scratch_parent = folder() + "/missing";
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kNotFound);
  config = Config("other");
  config.log_directory = folder() + "/missing";
  EXPECT_EQ(CodeOfCreating(config), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace lambdaml::faas
