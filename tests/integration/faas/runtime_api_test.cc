// The Runtime API as another runtime sees it: the function is `sleep`, and the test takes its part
// at the endpoint, with requests written by hand.
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "tests/integration/faas/platform_fixture.h"
#include "tests/unit/faas/raw_http.h"

namespace lambdaml::faas {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kNext[] = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: x\r\n\r\n";

class RuntimeApiTest : public PlatformTest {
 protected:
  RuntimeApiTest() {
    FunctionConfig config = Config();
    config.program = "/bin/sh";
    // The folder serves to hand the endpoint to the test.
    config.arguments = {"-c", "echo $AWS_LAMBDA_RUNTIME_API > $0.part; mv $0.part $0; sleep 60",
                        folder() + "/endpoint"};
    platform_->CreateFunction(config);
    result_ = InvokeInBackground(R"({"n":1})");
    while (!base::FileExists(folder() + "/endpoint")) std::this_thread::yield();
    std::ifstream(folder() + "/endpoint") >> endpoint_;
  }
  ~RuntimeApiTest() override { platform_->Shutdown(); }

  std::future<InvokeResult> InvokeInBackground(const std::string& payload) {
    return std::async(std::launch::async, [this, payload] {
      return MakeHttpInvoker(platform_->endpoint())->Invoke("worker", payload, Soon());
    });
  }

  std::string Exchange(const std::string& request) {
    RawConnection connection(endpoint_);
    connection.Send(request);
    return connection.ReadMessage();
  }
  // Fetches the invocation and keeps its request id.
  void Fetch() {
    const std::string message = Exchange(kNext);
    const std::string header = "Lambda-Runtime-Aws-Request-Id: ";
    ASSERT_THAT(message, HasSubstr(header));
    request_id_ = message.substr(message.find(header) + header.size(), 36);
  }
  std::string Post(const std::string& verb, const std::string& body,
                   const std::string& headers = "") {
    return Exchange(
        RawPost("/2018-06-01/runtime/invocation/" + request_id_ + "/" + verb, body, headers));
  }
  // The runtime is ready for more, which ends the invocation.
  void AskForNext() {
    waiting_.emplace_back(endpoint_);
    waiting_.back().Send(kNext);
  }

  std::string endpoint_;
  std::string request_id_;
  std::vector<RawConnection> waiting_;
  std::future<InvokeResult> result_;
};

TEST_F(RuntimeApiTest, NextGivesTheInvocationWithItsHeaders) {
  const std::string message = Exchange(kNext);
  EXPECT_THAT(message, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(message, HasSubstr("Lambda-Runtime-Aws-Request-Id: "));
  EXPECT_THAT(message, HasSubstr("Lambda-Runtime-Deadline-Ms: "));
  EXPECT_THAT(message, HasSubstr("Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:"));
  EXPECT_THAT(message, HasSubstr("Lambda-Runtime-Trace-Id: Root=1-"));
  EXPECT_THAT(message, EndsWith(R"({"n":1})"));
}

TEST_F(RuntimeApiTest, AskedAgainBeforeItsAnswerNextGivesTheSameInvocation) {
  Fetch();
  EXPECT_THAT(Exchange(kNext), HasSubstr("Lambda-Runtime-Aws-Request-Id: " + request_id_));
}

TEST_F(RuntimeApiTest, AResponseReachesTheCaller) {
  Fetch();
  EXPECT_THAT(Post("response", "\"done\""), StartsWith("HTTP/1.1 202"));
  AskForNext();
  EXPECT_EQ(result_.get().payload, "\"done\"");
}

TEST_F(RuntimeApiTest, TheNewestNextIsTheOneThatGetsTheNextInvocation) {
  Fetch();
  Post("response", "1");
  AskForNext();
  result_.get();
  AskForNext();
  EXPECT_THAT(waiting_[0].ReadMessage(), StartsWith("HTTP/1.1 403"));
  result_ = InvokeInBackground(R"({"n":2})");
  EXPECT_THAT(waiting_[1].ReadMessage(), EndsWith(R"({"n":2})"));
}

TEST_F(RuntimeApiTest, AnErrorReachesTheCallerWithItsType) {
  Fetch();
  const std::string body = R"({"errorType":"Mine","errorMessage":"m","stackTrace":[]})";
  EXPECT_THAT(Post("error", body, "Lambda-Runtime-Function-Error-Type: Mine\r\n"),
              StartsWith("HTTP/1.1 202"));
  AskForNext();
  const InvokeResult result = result_.get();
  EXPECT_EQ(result.function_error, "Unhandled");
  EXPECT_EQ(result.payload, body);
  EXPECT_EQ(platform_->TakeRecords().at(0).error_type, "Mine");
}

TEST_F(RuntimeApiTest, AnAnswerToAnotherRequestIsRefused) {
  const std::string unknown = "/2018-06-01/runtime/invocation/0123/";
  EXPECT_THAT(Exchange(RawPost(unknown + "response", "1")), StartsWith("HTTP/1.1 400"));
  Fetch();
  const std::string answer = Exchange(RawPost(unknown + "response", "1"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer,
              EndsWith(R"({"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"})"));
  EXPECT_THAT(Exchange(RawPost(unknown + "error", "1")), StartsWith("HTTP/1.1 400"));
}

TEST_F(RuntimeApiTest, ASecondAnswerIsRefused) {
  Fetch();
  Post("response", "1");
  EXPECT_THAT(Post("response", "2"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(Post("error", "2"), StartsWith("HTTP/1.1 403"));
  AskForNext();
  EXPECT_EQ(result_.get().payload, "1");
}

TEST_F(RuntimeApiTest, ATooLargeResponseIsRefusedAndTheCallerTold) {
  Fetch();
  EXPECT_THAT(Post("response", std::string(6291557, 'x')), StartsWith("HTTP/1.1 413"));
  AskForNext();
  EXPECT_EQ(ErrorMember(result_.get(), "errorType"), "Function.ResponseSizeTooLarge");
}

TEST_F(RuntimeApiTest, AnInitErrorIsTakenBeforeTheFirstNextOnly) {
  const std::string path = "/2018-06-01/runtime/init/error";
  Fetch();
  EXPECT_THAT(Exchange(RawPost(path, "{}")), StartsWith("HTTP/1.1 403"));
}

TEST_F(RuntimeApiTest, AnInitErrorEndsTheEnvironment) {
  const std::string body = R"({"errorType":"NoSuchHandler","errorMessage":"m"})";
  EXPECT_THAT(Exchange(RawPost("/2018-06-01/runtime/init/error", body,
                               "Lambda-Runtime-Function-Error-Type: Runtime.NoSuchHandler\r\n")),
              StartsWith("HTTP/1.1 202"));
  EXPECT_EQ(result_.get().payload, body);
  EXPECT_EQ(platform_->TakeRecords().at(0).error_type, "Runtime.NoSuchHandler");
}

TEST_F(RuntimeApiTest, OtherResourcesAreNotFoundAndMalformedRequestsRefused) {
  for (const char* target : {"/", "/2018-06-01/runtime/invocation/", "/2018-06-01/runtime/init",
                             "/2018-06-01/runtime/invocation/x/other"}) {
    EXPECT_THAT(Exchange(RawPost(target, "")), StartsWith("HTTP/1.1 40")) << target;
  }
  EXPECT_THAT(Exchange("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Exchange("POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  Fetch();
  Post("response", "1");
  AskForNext();
  EXPECT_EQ(result_.get().payload, "1");
}

}  // namespace
}  // namespace lambdaml::faas
