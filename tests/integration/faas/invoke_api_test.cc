// The Invoke API as another client sees it: requests written by hand over plain sockets.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"

#include "tests/integration/faas/platform_fixture.h"
#include "tests/unit/faas/raw_http.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kTarget[] = "/2015-03-31/functions/worker/invocations";

class InvokeApiTest : public PlatformTest {
 protected:
  InvokeApiTest() { platform_->CreateFunction(Config()); }

  std::string Answer(const std::string& request) {
    RawConnection connection(platform_->endpoint());
    connection.Send(request);
    return connection.ReadMessage();
  }
  ErrorCode CodeOfInvoking(const std::string& name, const std::string& payload) {
    try {
      Invoke(payload, name);
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), StartsWith("invoke " + name));
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }
};

TEST_F(InvokeApiTest, ASynchronousInvocationIsAnsweredAsLambdaDoes) {
  const std::string answer =
      Answer(RawPost(kTarget, R"({"a":1})", "X-Amz-Invocation-Type: RequestResponse\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Amz-Executed-Version: $LATEST\r\n"));
  EXPECT_THAT(answer, HasSubstr("x-amzn-RequestId: "));
  EXPECT_THAT(answer, Not(HasSubstr("X-Amz-Function-Error")));
  EXPECT_THAT(answer, Not(HasSubstr("X-Amz-Log-Result")));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n{\"a\":1}"));
}

TEST_F(InvokeApiTest, RequestResponseIsTheDefaultAndAQueryIsAllowed) {
  EXPECT_THAT(Answer(RawPost(std::string(kTarget) + "?Qualifier=$LATEST", "{}")),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(InvokeApiTest, AConnectionServesSeveralRequests) {
  RawConnection connection(platform_->endpoint());
  connection.Send(RawPost(kTarget, "{}") + RawPost(kTarget, R"({"b":2})"));
  EXPECT_THAT(connection.ReadMessage(), EndsWith("{}"));
  EXPECT_THAT(connection.ReadMessage(), EndsWith(R"({"b":2})"));
}

TEST_F(InvokeApiTest, AClientThatExpectsToContinueIsToldTo) {
  RawConnection connection(platform_->endpoint());
  connection.Send("POST " + std::string(kTarget) +
                  " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(connection.ReadMessage(), StartsWith("HTTP/1.1 100"));
  connection.Send("{}");
  EXPECT_THAT(connection.ReadMessage(), StartsWith("HTTP/1.1 200"));
}

TEST_F(InvokeApiTest, AFunctionErrorIsAnAnswerWithAHeader) {
  const std::string answer =
      Answer(RawPost(kTarget, R"({"do":"throw","what":"exception"})", "X-Amz-Log-Type: Tail\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Amz-Function-Error: Unhandled\r\n"));
  EXPECT_THAT(answer, HasSubstr("X-Amz-Log-Result: U1RBUlQg"));  // "START "
}

TEST_F(InvokeApiTest, ADryRunInvokesNothing) {
  EXPECT_THAT(Answer(RawPost(kTarget, "{}", "X-Amz-Invocation-Type: DryRun\r\n")),
              StartsWith("HTTP/1.1 204"));
  EXPECT_TRUE(platform_->TakeRecords().empty());
}

TEST_F(InvokeApiTest, AnUnknownFunctionIsNotFound) {
  const std::string answer = Answer(RawPost("/2015-03-31/functions/other/invocations", "{}"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(answer, HasSubstr("x-amzn-ErrorType: ResourceNotFoundException\r\n"));
  EXPECT_THAT(answer, HasSubstr(R"({"Type":"User","message":"Function not found: arn:aws:)"));
  EXPECT_EQ(CodeOfInvoking("other", "{}"), ErrorCode::kNotFound);
  EXPECT_EQ(CodeOfInvoking("a b\r\nX: y", "{}"), ErrorCode::kNotFound);
}

TEST_F(InvokeApiTest, AnotherOperationIsUnknown) {
  for (const char* target :
       {"/", "/2015-03-31/functions", "/2015-03-31/functions//invocations",
        "/2015-03-31/functions/worker", "*", "/2015-03-31/functions/%zz/invocations"}) {
    EXPECT_THAT(Answer(RawPost(target, "{}")), StartsWith("HTTP/1.1 404")) << target;
  }
  EXPECT_THAT(Answer("GET " + std::string(kTarget) + " HTTP/1.1\r\nHost: x\r\n\r\n"),
              StartsWith("HTTP/1.1 404"));
}

TEST_F(InvokeApiTest, AnUnknownInvocationTypeIsRefused) {
  const std::string answer = Answer(RawPost(kTarget, "{}", "X-Amz-Invocation-Type: Sync\r\n"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer, HasSubstr("InvalidParameterValueException"));
}

TEST_F(InvokeApiTest, APayloadThatIsNotJsonIsRefused) {
  const std::string answer = Answer(RawPost(kTarget, "{oops"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer, HasSubstr("InvalidRequestContentException"));
  EXPECT_EQ(CodeOfInvoking("worker", "{oops"), ErrorCode::kInvalidArgument);
}

TEST_F(InvokeApiTest, APayloadAboveTheLimitIsRefused) {
  const std::string six_mb(6 * 1024 * 1024 - 2, ' ');
  EXPECT_THAT(Answer(RawPost(kTarget, six_mb + "{}")), StartsWith("HTTP/1.1 200"));
  const std::string refusal = Answer(RawPost(kTarget, six_mb + "{} "));
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(refusal, HasSubstr("RequestEntityTooLargeException"));
  EXPECT_EQ(CodeOfInvoking("worker", six_mb + "{} "), ErrorCode::kResourceExhausted);

  const std::string one_mb(1024 * 1024 - 2, ' ');
  const std::string event = "X-Amz-Invocation-Type: Event\r\n";
  EXPECT_THAT(Answer(RawPost(kTarget, one_mb + "{}", event)), StartsWith("HTTP/1.1 202"));
  EXPECT_THAT(Answer(RawPost(kTarget, one_mb + "{} ", event)), StartsWith("HTTP/1.1 413"));
}

TEST_F(InvokeApiTest, ABodyBeyondAllLimitsIsRefusedUnread) {
  EXPECT_THAT(Answer("POST " + std::string(kTarget) +
                     " HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_EQ(CodeOfInvoking("worker", std::string(20 << 20, ' ')), ErrorCode::kResourceExhausted);
}

TEST_F(InvokeApiTest, AboveTheConcurrencyLimitInvocationsAreThrottled) {
  FunctionConfig config = Config("narrow");
  config.concurrency_max = 1;
  platform_->CreateFunction(config);
  std::thread busy([&] {
    auto invoker = MakeHttpInvoker(platform_->endpoint());
    EXPECT_FALSE(invoker->Invoke("narrow", R"({"do":"sleep","ms":2000})", Soon()).failed());
  });
  while (!base::FileExists(logs() + "/narrow-1.log")) std::this_thread::yield();
  const std::string answer = Answer(RawPost("/2015-03-31/functions/narrow/invocations", "{}"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(answer, HasSubstr("TooManyRequestsException"));
  EXPECT_EQ(CodeOfInvoking("narrow", "{}"), ErrorCode::kResourceExhausted);
  busy.join();
  EXPECT_EQ(Invoke("{}", "narrow").payload, "{}");
}

TEST_F(InvokeApiTest, MalformedRequestsAreRefusedAndTheNextOneIsServed) {
  const std::vector<std::string> malformed = {
      "hello\r\n\r\n",
      "GET\r\n\r\n",
      "POST / HTTP/9.9\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "POST / HTTP/1.1\r\nno colon here\r\n\r\n",
      "POST / HTTP/1.1\r\n: empty\r\n\r\n",
      std::string("POST /\0 HTTP/1.1\r\n\r\n", 20),
      std::string(100, '\xff') + "\r\n\r\n",
      "GET / HTTP/1.1\r\nX: " + std::string(64 * 1024, 'x') + "\r\n\r\n",
  };
  for (const std::string& request : malformed) {
    RawConnection connection(platform_->endpoint());
    connection.Send(request);
    EXPECT_THAT(connection.ReadMessage(), StartsWith("HTTP/1.1 4")) << request.substr(0, 40);
    connection.FinishSending();
    EXPECT_TRUE(connection.IsClosedByOther()) << request.substr(0, 40);
  }
  EXPECT_EQ(Invoke("{}").payload, "{}");
}

TEST_F(InvokeApiTest, ClientsThatVanishInTheMiddleHarmNobody) {
  for (const std::string part :
       {"", "POST", "POST / HTTP/1.1\r\nHost", "POST / HTTP/1.1\r\n\r\n"}) {
    RawConnection(platform_->endpoint()).Send(part);
  }
  RawConnection(platform_->endpoint()).Send(RawPost(kTarget, "{}").substr(0, 90));
  RawConnection(platform_->endpoint()).Send(RawPost(kTarget, R"({"do":"sleep","ms":300})"));
  RawConnection hanging(platform_->endpoint());
  hanging.Send("POST / HT");
  EXPECT_EQ(Invoke("{}").payload, "{}");
}

TEST_F(InvokeApiTest, AnInvocationBeyondItsDeadlineNamesTheFunction) {
  auto invoker = MakeHttpInvoker(platform_->endpoint());
  try {
    invoker->Invoke("worker", R"({"do":"sleep","ms":30000})",
                    base::Deadline::After(std::chrono::milliseconds(300)));
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(error.message(), HasSubstr("invoke worker"));
  }
}

}  // namespace
}  // namespace lambdaml::faas
