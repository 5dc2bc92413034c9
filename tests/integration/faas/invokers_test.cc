// The invokers for AWS and for URLs, against the local platform and the function as an HTTP server;
// signatures are checked by botocore on the way (tests/support/aws).
#include <atomic>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/aws_invoker.h"
#include "lambdaml/faas/http_serving.h"
#include "lambdaml/faas/url_invoker.h"

#include "support/scripted_http_server.h"
#include "support/servers/fake_aws.h"
#include "support/servers/server_process.h"
#include "tests/integration/faas/platform_fixture.h"
#include "tests/unit/faas/raw_http.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const net::Credentials kCredentials = {.access_key_id = "AKIDEXAMPLE",
                                       .secret_access_key = "a+secret/with=signs",
                                       .session_token = {},
                                       .expiration = {}};

ErrorCode CodeOf(const std::function<void()>& action, std::string* message = nullptr) {
  try {
    action();
  } catch (const Error& error) {
    if (message != nullptr) *message = error.message();
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

class AwsInvokerTest : public PlatformTest {
 protected:
  void SetUp() override {
    if (!test::FakeAws::IsInstalled()) GTEST_SKIP() << test::FakeAws::kMissing;
    platform_->CreateFunction(Config());
    aws_ = std::make_unique<test::FakeAws>(
        folder(), kCredentials, std::vector<std::string>{"--forward", platform_->endpoint()});
    invoker_ = Invoker();
  }

  std::unique_ptr<faas::Invoker> Invoker(const net::Credentials& credentials = kCredentials,
                                         const std::atomic<bool>* cancelled = nullptr) const {
    return MakeAwsInvoker({.region = "eu-central-1",
                           .endpoint = aws_->endpoint(),
                           .credentials = net::FixedCredentials(credentials),
                           .cancelled = cancelled});
  }

  std::unique_ptr<test::FakeAws> aws_;
};

TEST_F(AwsInvokerTest, ResponsesErrorsAndLogsComeBackOverSignedRequests) {
  const InvokeResult result = Invoke(R"({"do":"echo","text":"ümlaut & more"})");
  EXPECT_EQ(result.payload, R"({"do":"echo","text":"ümlaut & more"})");
  EXPECT_FALSE(result.failed());
  EXPECT_FALSE(result.request_id.empty());
  EXPECT_THAT(Invoke(R"({"do":"print","text":"printed\n"})").log_tail, HasSubstr("printed\n"));
  const InvokeResult failed = Invoke(R"({"do":"throw","what":"Error"})");
  EXPECT_TRUE(failed.failed());
  EXPECT_EQ(ErrorMember(failed, "errorType"), "InvalidData");
}

TEST_F(AwsInvokerTest, AnEventIsAcceptedAndRuns) {
  const std::string file = folder() + "/count";
  invoker_->InvokeAsync(
      "worker", fmt::format(R"({{"do":"fail_first","file":"{}","failures":0}})", file), Soon());
  while (ReadFile(file).empty()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const base::Json request = aws_->Requests().back();
  EXPECT_EQ(request.At("parameters").At("InvocationType").AsString(), "Event");
}

TEST_F(AwsInvokerTest, AWrongSecretAndAMissingFunctionAreSaid) {
  net::Credentials wrong = kCredentials;
  wrong.secret_access_key = "another-secret";
  std::string message;
  EXPECT_EQ(CodeOf([&] { Invoker(wrong)->Invoke("worker", "{}", Soon()); }, &message),
            ErrorCode::kPermissionDenied);
  EXPECT_THAT(message, AllOf(StartsWith("invoke worker: "), Not(HasSubstr("another-secret"))));
  EXPECT_EQ(CodeOf([&] { Invoke("{}", "nobody"); }), ErrorCode::kNotFound);
}

TEST_F(AwsInvokerTest, ACancelledCallEndsThoughTheFunctionRuns) {
  std::atomic<bool> cancelled{false};
  const auto invoker = Invoker(kCredentials, &cancelled);
  std::thread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    cancelled = true;
  });
  EXPECT_EQ(CodeOf([&] { invoker->Invoke("worker", R"({"do":"sleep","ms":50000})", Soon()); }),
            ErrorCode::kCancelled);
  canceller.join();
}

TEST_F(AwsInvokerTest, AnotherClientListsGetsAndInvokesFunctions) {
  constexpr const char* kAws = "/usr/bin/aws";  // Debian's
  if (!base::FileExists(kAws)) GTEST_SKIP() << "awscli is not installed";
  const auto aws = [&](std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--endpoint-url", "http://" + platform_->endpoint(), "lambda"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const test::ProgramResult result = test::RunProgram(
        {.program = kAws,
         .arguments = all,
         .environment = {"PATH=/usr/bin:/bin", "HOME=" + folder(), "AWS_DEFAULT_REGION=us-east-1",
                         "AWS_ACCESS_KEY_ID=any", "AWS_SECRET_ACCESS_KEY=any", "AWS_PAGER="},
         .working_directory = folder()},
        std::chrono::seconds(60));
    EXPECT_EQ(result.status.exit_code, 0) << result.err;
    return result.out;
  };
  const base::Json list = base::Json::Parse(aws({"list-functions"}), "list");
  ASSERT_EQ(list.At("Functions").AsArray().size(), 1U);
  EXPECT_EQ(list.At("Functions").AsArray()[0].At("FunctionName").AsString(), "worker");
  const base::Json function =
      base::Json::Parse(aws({"get-function", "--function-name", "worker"}), "function");
  EXPECT_EQ(function.At("Configuration").At("MemorySize").AsInteger(), 4096);
  aws({"get-function-configuration", "--function-name", "worker"});
  aws({"invoke", "--function-name", "worker", "--cli-binary-format", "raw-in-base64-out",
       "--payload", R"({"do":"echo","n":1})", "answer"});
  EXPECT_EQ(ReadFile(folder() + "/answer"), R"({"do":"echo","n":1})");
}

TEST(AwsInvoker, RefusalsForNowAreTriedAgain) {
  for (const char* code : {"TooManyRequestsException", "ResourceConflictException"}) {
    test::ScriptedHttpServer server([&](const test::ReceivedRequest& request) {
      if (request.number >= 2) return test::ScriptedReply{.bytes = test::HttpAnswer(200, "1")};
      return test::ScriptedReply{
          .bytes = test::HttpAnswer(409, "{}", fmt::format("x-amzn-ErrorType: {}\r\n", code))};
    });
    const auto invoker = MakeAwsInvoker({.region = "us-east-1",
                                         .endpoint = server.url(),
                                         .credentials = net::FixedCredentials(kCredentials)});
    const base::Deadline deadline = base::Deadline::After(std::chrono::seconds(60));
    EXPECT_EQ(invoker->Invoke("f", "{}", deadline).payload, "1");
    EXPECT_EQ(server.requests().size(), 3U);
  }
}

TEST(AwsInvoker, AnInvocationWhoseAnswerIsLostIsNotMadeTwice) {
  test::ScriptedHttpServer server([](const test::ReceivedRequest&) {
    return test::ScriptedReply{.then = test::ScriptedReply::Then::kClose};
  });
  const auto invoker = MakeAwsInvoker({.region = "us-east-1",
                                       .endpoint = server.url(),
                                       .credentials = net::FixedCredentials(kCredentials)});
  EXPECT_EQ(
      CodeOf([&] { invoker->Invoke("f", "{}", base::Deadline::After(std::chrono::seconds(60))); }),
      ErrorCode::kUnavailable);
  EXPECT_EQ(server.requests().size(), 1U);
}

// The test function as servers, each with a port of its own.
class UrlInvokerTest : public PlatformTest {
 protected:
  std::string StartServer() {
    const int port = test::FreePort();
    servers_.push_back(std::make_unique<test::ServerProcess>(
        test::ProgramOptions{.program = LAMBDAML_TEST_FUNCTION,
                             .arguments = {},
                             .environment = {fmt::format("PORT={}", port)},
                             .working_directory = folder()},
        [port] { return test::AcceptsConnections(port); }));
    return fmt::format("127.0.0.1:{}", port);
  }

  static std::unique_ptr<faas::Invoker> InvokerOf(std::vector<std::string> authorities) {
    for (std::string& authority : authorities) authority = "http://" + authority + "/any";
    return MakeUrlInvoker({.urls = std::move(authorities)});
  }

  static std::string Exchange(const std::string& authority, const std::string& request) {
    RawConnection connection(authority);
    connection.Send(request);
    return connection.ReadMessage();
  }

  std::vector<std::unique_ptr<test::ServerProcess>> servers_;
};

TEST_F(UrlInvokerTest, ResponsesErrorsAndDeadlinesPassThroughAPlainPost) {
  const auto invoker = InvokerOf({StartServer()});
  EXPECT_EQ(invoker->Invoke("f", R"({"a":[1,2]})", Soon()).payload, R"({"a":[1,2]})");
  const InvokeResult failed = invoker->Invoke("f", R"({"do":"throw","what":"Error"})", Soon());
  EXPECT_TRUE(failed.failed());
  EXPECT_EQ(ErrorMember(failed, "errorMessage"), "a.libsvm:7: bad \"number\"");
  const InvokeResult described = invoker->Invoke(
      "f", R"({"do":"describe"})", base::Deadline::After(std::chrono::milliseconds(20'000)));
  const int64_t remaining_ms =
      base::Json::Parse(described.payload, "payload").At("remaining_ms").AsInteger();
  EXPECT_GT(remaining_ms, 0);
  EXPECT_LE(remaining_ms, 20'000);
  EXPECT_EQ(CodeOf([&] { invoker->InvokeAsync("f", "{}", Soon()); }), ErrorCode::kInvalidArgument);
}

TEST_F(UrlInvokerTest, OfSeveralServersTheIdleOnesAreUsed) {
  const auto invoker = InvokerOf({StartServer(), StartServer(), StartServer()});
  std::vector<std::string> pids(3);
  std::vector<std::thread> threads;
  for (std::string& pid : pids) {
    threads.emplace_back([&] {
      invoker->Invoke("f", R"({"do":"sleep","ms":300})", Soon());
      pid = invoker->Invoke("f", R"({"do":"echo"})", Soon()).payload;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(pids, ElementsAre(R"({"do":"echo"})", R"({"do":"echo"})", R"({"do":"echo"})"));
}

TEST_F(UrlInvokerTest, ABusyServerSaysSoAndStaysHealthy) {
  const std::string authority = StartServer();
  const auto invoker = InvokerOf({authority});
  std::thread busy([&] { invoker->Invoke("f", R"({"do":"sleep","ms":1500})", Soon()); });
  std::string refused;
  do {
    refused = Exchange(authority, RawPost("/", R"({"do":"echo"})"));
  } while (refused.starts_with("HTTP/1.1 200"));
  EXPECT_THAT(refused, AllOf(StartsWith("HTTP/1.1 429"), HasSubstr("another invocation")));
  EXPECT_THAT(Exchange(authority, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
              AllOf(StartsWith("HTTP/1.1 200"), HasSubstr("ok\n")));
  busy.join();
}

TEST_F(UrlInvokerTest, OpenWhisksActionsAreUnderstood) {
  const std::string authority = StartServer();
  EXPECT_THAT(Exchange(authority, RawPost("/init", R"({"value":{"code":""}})")),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(
      Exchange(authority, RawPost("/run", R"({"value":{"x":7},"deadline":"4102444800000"})")),
      HasSubstr("\r\n\r\n{\"x\":7}"));
  EXPECT_THAT(Exchange(authority, RawPost("/run", R"({"value":{},"deadline":"soon"})")),
              AllOf(StartsWith("HTTP/1.1 500"), HasSubstr("soon")));
  EXPECT_THAT(Exchange(authority, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
              StartsWith("HTTP/1.1 405"));
}

TEST_F(UrlInvokerTest, RequestsToAFunctionUrlAreSigned) {
  if (!test::FakeAws::IsInstalled()) GTEST_SKIP() << test::FakeAws::kMissing;
  const test::FakeAws aws(folder(), kCredentials, {"--forward", StartServer()});
  const auto invoker = MakeUrlInvoker({.urls = {aws.endpoint() + "/"},
                                       .credentials = net::FixedCredentials(kCredentials),
                                       .signing_region = "us-east-1"});
  EXPECT_EQ(invoker->Invoke("f", R"({"n":1})", Soon()).payload, R"({"n":1})");
  const auto unsigned_invoker = MakeUrlInvoker({.urls = {aws.endpoint() + "/"}});
  EXPECT_EQ(CodeOf([&] { unsigned_invoker->Invoke("f", "{}", Soon()); }),
            ErrorCode::kPermissionDenied);
}

TEST_F(UrlInvokerTest, EventsOfFunctionUrlsAreUnwrappedAndAnswered) {
  platform_->CreateFunction(Config());
  const auto answer = [&](const std::string& body, bool is_base64) {
    base::Json event = base::Json::Parse(
        R"({"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"POST"}}})", "event");
    event.Set("body", body);
    event.Set("isBase64Encoded", is_base64);
    return base::Json::Parse(Invoke(event.Dump()).payload, "answer");
  };
  EXPECT_EQ(answer(R"({"do":"echo"})", false).At("body").AsString(), R"({"do":"echo"})");
  EXPECT_EQ(answer("eyJhIjoxfQ==", true).At("body").AsString(), R"({"a":1})");
  const base::Json failed = answer(R"({"do":"throw","what":"Error"})", false);
  EXPECT_EQ(failed.At("statusCode").AsInteger(), 500);
  EXPECT_THAT(failed.At("body").AsString(), HasSubstr("InvalidData"));
}

TEST(UrlInvoker, KnowsFunctionUrlsByTheirHost) {
  EXPECT_EQ(RegionOfFunctionUrl("https://abc123.lambda-url.eu-west-1.on.aws/"), "eu-west-1");
  EXPECT_EQ(RegionOfFunctionUrl("https://abc123.lambda-url.eu-west-1.on.aws.example.com/"), "");
  EXPECT_EQ(RegionOfFunctionUrl("https://worker.default.example.com"), "");
  EXPECT_EQ(CodeOf([] { RegionOfFunctionUrl("worker:8080"); }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(CodeOf([] { MakeUrlInvoker({}); }), ErrorCode::kInvalidArgument);
}

TEST(UrlInvoker, SaysWhatAProxyAnswers) {
  test::ScriptedHttpServer server([](const test::ReceivedRequest&) {
    return test::ScriptedReply{.bytes = test::HttpAnswer(502, "<h1>Bad Gateway</h1>")};
  });
  std::string message;
  const auto invoker = MakeUrlInvoker({.urls = {server.url()}});
  EXPECT_EQ(
      CodeOf([&] { invoker->Invoke("f", "{}", base::Deadline::After(std::chrono::seconds(60))); },
             &message),
      ErrorCode::kUnavailable);
  EXPECT_THAT(message, AllOf(HasSubstr(server.authority()), HasSubstr("HTTP 502: <h1>Bad")));
}

}  // namespace
}  // namespace lambdaml::faas
