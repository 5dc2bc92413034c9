#include "lambdaml/faas/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"

#include "tests/unit/faas/raw_http.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const HttpRequest kGet = {.method = "GET", .target = "/a", .headers = {{"X-One", "1"}}, .body = ""};
constexpr char kOk[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: 2\r\n\r\nhi";

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(30)); }

class HttpClientTest : public ::testing::Test {
 protected:
  ErrorCode CodeOfExchange(const base::Deadline& deadline = Soon()) {
    try {
      client_.Exchange(kGet, deadline, /*repeatable=*/false);
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr(listener_.endpoint()));
      return error.code();
    }
    ADD_FAILURE() << "no error";
    return ErrorCode::kInternal;
  }

  RawListener listener_;
  HttpConnection client_{listener_.endpoint()};
};

TEST_F(HttpClientTest, ARequestIsSentAndItsAnswerRead) {
  std::string seen;
  std::jthread server([&] {
    RawConnection connection = listener_.Accept();
    seen = connection.ReadMessage();
    connection.Send(kOk);
  });
  const HttpResponse response = client_.Exchange(kGet, Soon(), false);
  server.join();
  EXPECT_EQ(seen, "GET /a HTTP/1.1\r\nHost: " + listener_.endpoint() + "\r\nX-One: 1\r\n\r\n");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "hi");
  EXPECT_EQ(FindHeader(response.headers, "x-two"), "2");
  EXPECT_EQ(FindHeader(response.headers, "x-three"), "");
}

TEST_F(HttpClientTest, TheConnectionIsKept) {
  std::jthread server([&] {
    RawConnection connection = listener_.Accept();
    for (int i = 0; i < 3; ++i) {
      connection.ReadMessage();
      connection.Send(kOk);
    }
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client_.Exchange(kGet, Soon(), false).body, "hi");
}

TEST_F(HttpClientTest, AnIdleConnectionThatDiedIsReplacedEvenForAnUnrepeatableRequest) {
  std::jthread server([&] {
    for (int i = 0; i < 2; ++i) {
      RawConnection connection = listener_.Accept();
      connection.ReadMessage();
      connection.Send(kOk);
      connection.Close();
    }
  });
  client_.Exchange(kGet, Soon(), false);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // until the end has arrived
  EXPECT_EQ(client_.Exchange(kGet, Soon(), false).body, "hi");
}

TEST_F(HttpClientTest, ARequestLostOnAKeptConnectionIsSentAgainOnlyIfRepeatable) {
  for (const bool repeatable : {true, false}) {
    HttpConnection client(listener_.endpoint());
    std::jthread server([&] {
      RawConnection first = listener_.Accept();
      first.ReadMessage();
      first.Send(kOk);
      first.ReadMessage();
      first.Close();  // after the request was read: it may have been acted upon
      if (!repeatable) return;
      RawConnection second = listener_.Accept();
      second.ReadMessage();
      second.Send(kOk);
    });
    client.Exchange(kGet, Soon(), repeatable);
    if (repeatable) {
      EXPECT_EQ(client.Exchange(kGet, Soon(), repeatable).body, "hi");
    } else {
      try {
        client.Exchange(kGet, Soon(), repeatable);
        ADD_FAILURE() << "no error";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kUnavailable);  // at once, with nothing sent again
      }
    }
  }
}

TEST_F(HttpClientTest, MalformedAndBrokenAnswersAreErrors) {
  for (const std::string answer :
       {"", "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz"}) {
    std::jthread server([&] {
      RawConnection connection = listener_.Accept();
      connection.ReadMessage();
      connection.Send(answer);
    });
    EXPECT_EQ(CodeOfExchange(), ErrorCode::kUnavailable) << answer;
  }
}

TEST_F(HttpClientTest, ASilentServerRunsIntoTheDeadline) {
  const auto soon = base::Deadline::After(std::chrono::milliseconds(100));
  EXPECT_EQ(CodeOfExchange(soon), ErrorCode::kDeadlineExceeded);
}

TEST_F(HttpClientTest, AServerThatTakesNothingRunsIntoTheDeadline) {
  const HttpRequest request = {
      .method = "POST", .target = "/", .headers = {}, .body = std::string(64 << 20, 'x')};
  try {
    client_.Exchange(request, base::Deadline::After(std::chrono::milliseconds(200)), false);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  }
}

TEST_F(HttpClientTest, AnAnswerGivenBeforeTheBodyWasReadCounts) {
  std::jthread server([&] {
    RawConnection connection = listener_.Accept();
    connection.Send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    connection.FinishSending();
    while (!connection.ReadMessage().empty()) {
    }
  });
  const HttpRequest request = {
      .method = "POST", .target = "/", .headers = {}, .body = std::string(8 << 20, 'x')};
  EXPECT_EQ(client_.Exchange(request, Soon(), false).status, 413);
}

TEST(HttpClientAddressTest, NobodyListeningIsUnavailable) {
  std::string endpoint;
  { endpoint = RawListener().endpoint(); }
  HttpConnection client(endpoint);
  try {
    client.Exchange(kGet, Soon(), true);
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_EQ(error.message(), "connect " + endpoint + ": Connection refused");
  }
}

TEST(HttpClientAddressTest, AnAddressMustBeHostAndPort) {
  for (const char* address : {"", "host", ":80", "host:", "host:http", "host:123456", "[]:1"}) {
    EXPECT_THROW(HttpConnection{address}, Error) << address;
  }
  EXPECT_NO_THROW(HttpConnection{"[::1]:80"});
}

}  // namespace
}  // namespace lambdaml::faas
