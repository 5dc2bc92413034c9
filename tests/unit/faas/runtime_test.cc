// The worker's side of the Runtime API against a scripted server on plain sockets.
#include "lambdaml/faas/runtime.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdexcept>
#include <thread>

#include "lambdaml/base/error.h"

#include "tests/unit/faas/raw_http.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string InvocationMessage(const std::string& payload, const std::string& deadline_ms) {
  return "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: id-1\r\nLambda-Runtime-Deadline-Ms: " +
         deadline_ms +
         "\r\nLambda-Runtime-Invoked-Function-Arn: arn\r\nLambda-Runtime-Trace-Id: Root=1\r\n"
         "Content-Length: " +
         std::to_string(payload.size()) + "\r\n\r\n" + payload;
}

std::string InFiveSeconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count() + 5000);
}

constexpr char kAccepted[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";

class RuntimeTest : public ::testing::Test {
 protected:
  // Serves until the API, played by `api`, goes away; returns the error that ended it.
  Error Serve(const Handler& handler, const std::function<void(RawConnection&)>& api) {
    std::jthread server([&] {
      RawConnection connection = listener_->Accept();
      api(connection);
      listener_.reset();
    });
    try {
      ServeInvocations(listener_->endpoint(), handler);
    } catch (const Error& error) {
      return error;
    }
  }

  // What the runtime posts when its handler is this one.
  std::string PostOf(const Handler& handler) {
    std::string post;
    const Error end = Serve(handler, [&](RawConnection& connection) {
      EXPECT_THAT(connection.ReadMessage(),
                  StartsWith("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"));
      connection.Send(InvocationMessage("{}", InFiveSeconds()));
      post = connection.ReadMessage();
      connection.Send(kAccepted);
      connection.ReadMessage();  // it asks for the next
    });
    EXPECT_EQ(end.code(), ErrorCode::kUnavailable);
    return post;
  }

  std::unique_ptr<RawListener> listener_ = std::make_unique<RawListener>();
};

TEST_F(RuntimeTest, TheHandlerGetsTheInvocationAndItsResponseIsPosted) {
  int remaining_ms = 0;
  const std::string post = PostOf([&](const Invocation& invocation) {
    EXPECT_EQ(invocation.request_id, "id-1");
    EXPECT_EQ(invocation.payload, "{}");
    EXPECT_EQ(invocation.function_arn, "arn");
    EXPECT_EQ(invocation.trace_id, "Root=1");
    remaining_ms = invocation.deadline.RemainingPollMs();
    return std::string("\"response\"");
  });
  EXPECT_GT(remaining_ms, 0);
  EXPECT_LE(remaining_ms, 5000);
  EXPECT_THAT(post, StartsWith("POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\n"));
  EXPECT_THAT(post, EndsWith("\r\n\r\n\"response\""));
}

TEST_F(RuntimeTest, AnErrorIsPostedWithItsCode) {
  const std::string post = PostOf(
      [](const Invocation&) -> std::string { throw Error(ErrorCode::kNotFound, "no shard 3"); });
  EXPECT_THAT(post, StartsWith("POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.1\r\n"));
  EXPECT_THAT(post, HasSubstr("Lambda-Runtime-Function-Error-Type: NotFound\r\n"));
  EXPECT_THAT(post,
              EndsWith(R"({"errorType":"NotFound","errorMessage":"no shard 3","stackTrace":[]})"));
}

TEST_F(RuntimeTest, OtherExceptionsArePostedToo) {
  EXPECT_THAT(PostOf([](const Invocation&) -> std::string { throw std::runtime_error("x"); }),
              HasSubstr(R"({"errorType":"Internal","errorMessage":"x")"));
}

TEST_F(RuntimeTest, OutOfMemoryIsPosted) {
  EXPECT_THAT(PostOf([](const Invocation&) -> std::string { throw std::bad_alloc(); }),
              HasSubstr(R"({"errorType":"ResourceExhausted")"));
}

TEST_F(RuntimeTest, AMessageThatIsNotTextIsPostedAsJsonAllTheSame) {
  EXPECT_THAT(PostOf([](const Invocation&) -> std::string {
                throw Error(ErrorCode::kInvalidData, "bad byte \xff");
              }),
              EndsWith("\"stackTrace\":[]}"));
}

TEST_F(RuntimeTest, ATooLargeResponseIsAnError) {
  EXPECT_THAT(PostOf([](const Invocation&) { return std::string(7 << 20, 'x'); }),
              HasSubstr(R"({"errorType":"Function.ResponseSizeTooLarge")"));
}

TEST_F(RuntimeTest, ARefusedResponseDoesNotEndTheRuntime) {
  const auto end = Serve([](const Invocation&) { return std::string("1"); },
                         [](RawConnection& connection) {
                           for (int i = 0; i < 2; ++i) {
                             connection.ReadMessage();
                             connection.Send(InvocationMessage("{}", InFiveSeconds()));
                             connection.ReadMessage();
                             connection.Send("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
                           }
                           connection.ReadMessage();
                         });
  EXPECT_EQ(end.code(), ErrorCode::kUnavailable);
}

TEST_F(RuntimeTest, AFailingApiEndsTheRuntime) {
  const auto end = Serve([](const Invocation&) { return std::string("1"); },
                         [](RawConnection& connection) {
                           connection.ReadMessage();
                           connection.Send("HTTP/1.1 500 Broken\r\nContent-Length: 4\r\n\r\nwhy?");
                         });
  EXPECT_EQ(end.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(end.message(), HasSubstr("HTTP 500: why?"));
}

TEST_F(RuntimeTest, AMalformedDeadlineEndsTheRuntime) {
  for (const std::string deadline : {"", "soon", "12x", "-1", "99999999999999999999"}) {
    listener_ = std::make_unique<RawListener>();
    const auto end = Serve([](const Invocation&) { return std::string("1"); },
                           [&](RawConnection& connection) {
                             connection.ReadMessage();
                             connection.Send(InvocationMessage("{}", deadline));
                           });
    EXPECT_THAT(end.message(), HasSubstr("Lambda-Runtime-Deadline-Ms")) << deadline;
  }
}

TEST_F(RuntimeTest, ADeadlineFarAwayOrPastIsTaken) {
  for (const std::string deadline : {"0", "9223372036854775807"}) {
    listener_ = std::make_unique<RawListener>();
    bool expired = false;
    Serve(
        [&](const Invocation& invocation) {
          expired = invocation.deadline.Expired();
          return std::string("1");
        },
        [&](RawConnection& connection) {
          connection.ReadMessage();
          connection.Send(InvocationMessage("{}", deadline));
          connection.ReadMessage();
        });
    EXPECT_EQ(expired, deadline == "0");
  }
}

TEST_F(RuntimeTest, AnInitErrorIsPosted) {
  std::string post;
  std::jthread server([&] {
    RawConnection connection = listener_->Accept();
    post = connection.ReadMessage();
    connection.Send(kAccepted);
  });
  ReportInitError(listener_->endpoint(), "Runtime.NoData", "no data");
  server.join();
  EXPECT_THAT(post, StartsWith("POST /2018-06-01/runtime/init/error HTTP/1.1\r\n"));
  EXPECT_THAT(post, HasSubstr("Lambda-Runtime-Function-Error-Type: Runtime.NoData\r\n"));
  EXPECT_THAT(post, HasSubstr(R"("errorMessage":"no data")"));
}

TEST_F(RuntimeTest, ReportingAnInitErrorToNobodyDoesNotThrow) {
  const std::string endpoint = listener_->endpoint();
  listener_.reset();
  ReportInitError(endpoint, "T", "m");
  ReportInitError("not an address", "T", "m");
}

}  // namespace
}  // namespace lambdaml::faas
