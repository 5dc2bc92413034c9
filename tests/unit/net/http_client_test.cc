#include "lambdaml/net/http_client.h"

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "support/scripted_http_server.h"

namespace lambdaml::net {
namespace {

using base::AsBytes;
using base::Deadline;
using base::Error;
using base::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using test::HttpAnswer;
using test::ReceivedRequest;
using test::ScriptedHttpServer;
using test::ScriptedReply;
using testing::HasSubstr;
using Then = ScriptedReply::Then;

Deadline Soon() { return Deadline::After(seconds(20)); }

ScriptedHttpServer ServerOf(const ScriptedReply& reply) {
  return ScriptedHttpServer([reply](const ReceivedRequest&) { return reply; });
}

HttpRequest Get(const std::string& url) { return {.url = url}; }

const HttpResponse& ResponseOf(const HttpOutcome& outcome) {
  if (const auto* const error = std::get_if<Error>(&outcome)) throw *error;
  return std::get<HttpResponse>(outcome);
}

const Error& ErrorOf(const HttpOutcome& outcome) {
  if (std::holds_alternative<HttpResponse>(outcome)) throw std::runtime_error("an answer came");
  return std::get<Error>(outcome);
}

TEST(HttpClient, BringsStatusHeadersAndBody) {
  const ScriptedHttpServer server =
      ServerOf({.bytes = HttpAnswer(404, "gone", "X-Odd:  two words \r\nEmpty:\r\n")});
  HttpClient client;
  const HttpOutcome outcome = client.Send(Get(server.url() + "/a/../b%20c?x=1"), Soon());
  const HttpResponse& response = ResponseOf(outcome);
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.body.text(), "gone");
  EXPECT_EQ(response.Header("x-odd"), "two words");
  EXPECT_EQ(response.Header("EMPTY"), "");
  EXPECT_EQ(response.Header("missing"), std::nullopt);
  EXPECT_EQ(server.requests()[0].method, "GET");
  EXPECT_EQ(server.requests()[0].target, "/a/../b%20c?x=1");
}

TEST(HttpClient, SendsMethodHeadersAndBodyAndNothingOfItsOwn) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "")});
  HttpClient client;
  std::string large(3'000'000, 'x');
  large[0] = '\0';
  for (const std::string& body : {std::string(), std::string("small\0one", 9), large}) {
    const HttpOutcome outcome = client.Send({.method = "PUT",
                                             .url = server.url() + "/k",
                                             .headers = {{"X-A", "1"}, {"X-Empty", ""}},
                                             .body = AsBytes(body)},
                                            Soon());
    EXPECT_EQ(ResponseOf(outcome).status, 200);
    const ReceivedRequest request = server.requests().back();
    EXPECT_EQ(request.method, "PUT");
    EXPECT_TRUE(request.body == body);
    EXPECT_EQ(request.headers.at("x-a"), "1");
    EXPECT_EQ(request.headers.at("x-empty"), "");
    EXPECT_EQ(request.headers.at("content-length"), std::to_string(body.size()));
    EXPECT_FALSE(request.headers.contains("expect"));
    EXPECT_FALSE(request.headers.contains("content-type"));
    EXPECT_FALSE(request.headers.contains("transfer-encoding"));
  }
}

TEST(HttpClient, TakesAnAnswerToHeadWithoutABody) {
  const ScriptedHttpServer server =
      ServerOf({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n\r\n"});
  HttpClient client;
  for (int i = 0; i < 2; ++i) {
    const HttpOutcome outcome = client.Send({.method = "HEAD", .url = server.url() + "/k"}, Soon());
    EXPECT_EQ(ResponseOf(outcome).Header("content-length"), "123456789012");
    EXPECT_EQ(ResponseOf(outcome).body.size(), 0U);
  }
  EXPECT_EQ(server.connection_count(), 1);
}

TEST(HttpClient, UsesAConnectionAgain) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "x")});
  HttpClient client;
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(ResponseOf(client.Send(Get(server.url()), Soon())).status, 200);
  }
  EXPECT_EQ(server.connection_count(), 1);
}

TEST(HttpClient, OpensANewConnectionForOneThatTheServerHasClosed) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "x"), .then = Then::kClose});
  HttpClient client;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ResponseOf(client.Send(Get(server.url()), Soon())).body.text(), "x");
    while (server.open_connection_count() > 0) std::this_thread::yield();
  }
  EXPECT_EQ(server.connection_count(), 5);
}

TEST(HttpClient, SendsNothingTwice) {
  // A connection that dies under a second request, which may have had its effect.
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    if (request.number == 0) return ScriptedReply{.bytes = HttpAnswer(200, "x")};
    return ScriptedReply{.then = Then::kClose};
  });
  HttpClient client;
  EXPECT_EQ(ResponseOf(client.Send(Get(server.url()), Soon())).status, 200);
  const HttpOutcome outcome = client.Send({.method = "PUT", .url = server.url()}, Soon());
  EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kUnavailable);
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST(HttpClient, SendsInParallelOverABoundedNumberOfConnections) {
  std::atomic<int> largest = 0;
  const ScriptedHttpServer server([&](const ReceivedRequest& request) {
    largest = std::max(largest.load(), request.connection + 1);
    return ScriptedReply{.bytes = HttpAnswer(200, request.target), .delay = milliseconds(2)};
  });
  HttpClient client({.connection_count_max = 7});
  std::vector<HttpRequest> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(Get(server.url() + "/" + std::to_string(i)));
  const std::vector<HttpOutcome> outcomes = client.SendAll(requests, Soon());
  ASSERT_EQ(outcomes.size(), 100U);
  for (size_t i = 0; i < 100; ++i) {
    EXPECT_EQ(ResponseOf(outcomes[i]).body.text(), "/" + std::to_string(i));
  }
  EXPECT_EQ(largest, 7);
  EXPECT_TRUE(client.SendAll({}, Soon()).empty());
}

TEST(HttpClient, GivesEachRequestItsOwnOutcome) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    if (request.target == "/1") return ScriptedReply{.then = Then::kClose};
    return ScriptedReply{.bytes = HttpAnswer(request.target == "/2" ? 503 : 200, "x")};
  });
  HttpClient client;
  const std::vector<HttpRequest> requests = {Get(server.url() + "/0"), Get(server.url() + "/1"),
                                             Get(server.url() + "/2"), Get("http://127.0.0.1:1/"),
                                             Get("ftp://host/")};
  const std::vector<HttpOutcome> outcomes = client.SendAll(requests, Soon());
  EXPECT_EQ(ResponseOf(outcomes[0]).status, 200);
  EXPECT_EQ(ErrorOf(outcomes[1]).message(),
            server.authority() + " closed the connection without an answer");
  EXPECT_EQ(ResponseOf(outcomes[2]).status, 503);
  EXPECT_EQ(ErrorOf(outcomes[3]).code(), ErrorCode::kUnavailable);
  EXPECT_EQ(ErrorOf(outcomes[3]).message(), "cannot connect to 127.0.0.1:1: Connection refused");
  EXPECT_EQ(ErrorOf(outcomes[4]).code(), ErrorCode::kInvalidArgument);
}

TEST(HttpClient, WritesAnswersInPlace) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const int status = request.target == "/error" ? 500 : 206;
    return ScriptedReply{.bytes = HttpAnswer(status, std::string(50'000, request.target[1]))};
  });
  HttpClient client;
  base::Bytes whole(200'000, std::byte{'-'});
  std::vector<HttpRequest> requests;
  for (const char* const name : {"/a", "/b", "/c", "/error"}) {
    HttpRequest request = Get(server.url() + name);
    request.destination = std::span(whole).subspan(50'000 * requests.size(), 50'000);
    requests.push_back(request);
  }
  const std::vector<HttpOutcome> outcomes = client.SendAll(requests, Soon());
  EXPECT_TRUE(base::AsText(whole) == std::string(50'000, 'a') + std::string(50'000, 'b') +
                                         std::string(50'000, 'c') + std::string(50'000, '-'));
  EXPECT_EQ(ResponseOf(outcomes[1]).body.data(), whole.data() + 50'000);
  EXPECT_EQ(ResponseOf(outcomes[3]).body.text(), std::string(50'000, 'e'));
}

TEST(HttpClient, RefusesAnAnswerThatIsLargerThanItsDestination) {
  for (const bool is_announced : {true, false}) {
    const std::string headers = is_announced ? "Content-Length: 11\r\n\r\n" : "\r\n";
    const ScriptedHttpServer server =
        ServerOf({.bytes = "HTTP/1.1 200 OK\r\n" + headers + "0123456789A", .then = Then::kClose});
    HttpClient client;
    base::Bytes buffer(11, std::byte{'-'});
    HttpRequest request = Get(server.url());
    request.destination = std::span(buffer).first(10);
    const HttpOutcome outcome = client.Send(request, Soon());
    EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kResourceExhausted);
    EXPECT_THAT(ErrorOf(outcome).message(), HasSubstr(server.authority()));
    EXPECT_EQ(base::AsText(buffer).back(), '-');
  }
}

TEST(HttpClient, RefusesAHugeContentLengthBeforeItTakesMemory) {
  for (const char* const length : {"1000000000000", "9223372036854775807"}) {
    const ScriptedHttpServer server = ServerOf(
        {.bytes = std::string("HTTP/1.1 200 OK\r\nContent-Length: ") + length + "\r\n\r\nx",
         .then = Then::kSayNothing});
    HttpClient client;
    const HttpOutcome outcome = client.Send(Get(server.url()), Soon());
    EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kResourceExhausted);
    EXPECT_THAT(ErrorOf(outcome).message(), HasSubstr(length));
  }
}

TEST(HttpClient, RefusesEndlessBodiesAndHeaders) {
  const ScriptedHttpServer bodies = ServerOf(
      {.bytes = "HTTP/1.1 200 OK\r\n\r\n" + std::string(3'000'000, 'x'), .then = Then::kClose});
  HttpClient client;
  HttpRequest request = Get(bodies.url());
  request.response_size_max_bytes = 2'000'000;
  EXPECT_EQ(ErrorOf(client.Send(request, Soon())).code(), ErrorCode::kResourceExhausted);
  request.response_size_max_bytes = 3'000'000;
  EXPECT_EQ(ResponseOf(client.Send(request, Soon())).body.size(), 3'000'000U);

  std::string answer = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 10'000; ++i)
    answer += "X-" + std::to_string(i) + ": " + std::string(50, 'y') + "\r\n";
  const ScriptedHttpServer headers = ServerOf({.bytes = answer, .then = Then::kClose});
  EXPECT_EQ(ErrorOf(client.Send(Get(headers.url()), Soon())).code(), ErrorCode::kResourceExhausted);
}

TEST(HttpClient, TakesAChunkedAnswer) {
  const ScriptedHttpServer server = ServerOf(
      {.bytes = "HTTP/1.1 100 Continue\r\nInterim: 1\r\n\r\n"
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n",
       .late_bytes = "0\r\n\r\n",
       .late_delay = milliseconds(20)});
  HttpClient client;
  const HttpOutcome outcome = client.Send(Get(server.url()), Soon());
  EXPECT_EQ(ResponseOf(outcome).body.text(), "abcdefg");
  EXPECT_EQ(ResponseOf(outcome).Header("Interim"), std::nullopt);
}

TEST(HttpClient, TakesNoPartOfAnAnswerForAnAnswer) {
  const std::string good = HttpAnswer(200, "0123456789");
  HttpClient client;
  for (const Then then : {Then::kClose, Then::kReset}) {
    for (size_t size = 0; size < good.size(); ++size) {
      const ScriptedHttpServer server = ServerOf({.bytes = good.substr(0, size), .then = then});
      const HttpOutcome outcome = client.Send(Get(server.url()), Soon());
      EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kUnavailable) << size;
    }
  }
}

TEST(HttpClient, RefusesWhatIsNotHttp) {
  HttpClient client;
  for (const char* const garbage :
       {"SSH-2.0-OpenSSH_9.2\r\n", "+PONG\r\n", "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/7.9 200 OK\r\n\r\n", "\x15\x03\x01\x00\x02\x02\x46", "<html>\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n"}) {
    const ScriptedHttpServer server = ServerOf({.bytes = garbage, .then = Then::kClose});
    const HttpOutcome outcome = client.Send(Get(server.url()), Soon());
    EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kUnavailable) << garbage;
    EXPECT_THAT(ErrorOf(outcome).message(), HasSubstr(server.authority()));
  }
}

TEST(HttpClient, EndsAtTheDeadlineWhateverIsUnderWay) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    if (request.target == "/quick") return ScriptedReply{.bytes = HttpAnswer(200, "x")};
    return ScriptedReply{.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
                         .then = Then::kSayNothing};
  });
  HttpClient client({.connection_count_max = 2});
  const std::vector<HttpRequest> requests = {Get(server.url() + "/quick"), Get(server.url() + "/1"),
                                             Get(server.url() + "/2"), Get(server.url() + "/3")};
  const std::vector<HttpOutcome> outcomes =
      client.SendAll(requests, Deadline::After(milliseconds(300)));
  EXPECT_EQ(ResponseOf(outcomes[0]).status, 200);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_EQ(ErrorOf(outcomes[i]).code(), ErrorCode::kDeadlineExceeded);
    EXPECT_THAT(ErrorOf(outcomes[i]).message(), HasSubstr(server.authority()));
  }
  // And what was under way does not disturb what follows.
  EXPECT_EQ(ResponseOf(client.Send(Get(server.url() + "/quick"), Soon())).status, 200);
}

TEST(HttpClient, SendsNothingAfterTheDeadline) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "x")});
  HttpClient client;
  const HttpOutcome outcome = client.Send(Get(server.url()), Deadline::After(milliseconds(-1)));
  EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kDeadlineExceeded);
  EXPECT_EQ(server.connection_count(), 0);
}

TEST(HttpClient, GivesUpOnAPeerThatFallsSilentLongBeforeTheDeadline) {
  const ScriptedHttpServer server = ServerOf(
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .then = Then::kSayNothing});
  HttpClient client;
  HttpRequest request = Get(server.url());
  request.silence_max = seconds(1);
  const HttpOutcome outcome = client.Send(request, Deadline::After(std::chrono::hours(1)));
  EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kUnavailable);
  EXPECT_THAT(ErrorOf(outcome).message(), HasSubstr("not a byte for"));
}

TEST(HttpClient, WaitsForAPeerThatIsSlowButMoves) {
  const ScriptedHttpServer server =
      ServerOf({.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc",
                .delay = milliseconds(200),
                .late_bytes = "def",
                .late_delay = milliseconds(200)});
  HttpClient client;
  EXPECT_EQ(ResponseOf(client.Send(Get(server.url()), Soon())).body.text(), "abcdef");
}

TEST(HttpClient, FollowsNoRedirect) {
  const ScriptedHttpServer server =
      ServerOf({.bytes = HttpAnswer(307, "", "Location: http://127.0.0.1:1/elsewhere\r\n")});
  HttpClient client;
  EXPECT_EQ(ResponseOf(client.Send(Get(server.url()), Soon())).status, 307);
}

TEST(HttpClient, RefusesToSendWhatWouldBreakARequest) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "x")});
  HttpClient client;
  const std::string url = server.url();
  for (const HttpRequest& request : {
           HttpRequest{.method = "GET /x", .url = url},
           HttpRequest{.method = "", .url = url},
           HttpRequest{.url = url, .headers = {{"X", "1\r\nY: 2"}}},
           HttpRequest{.url = url, .headers = {{"X Y", "1"}}},
           HttpRequest{.url = url, .headers = {{"X:", "1"}}},
           HttpRequest{.url = url, .headers = {{"X", std::string("a\0b", 3)}}},
           HttpRequest{.url = url + "/a\r\nb"},
           HttpRequest{.url = "http://"},
           HttpRequest{.url = "localhost"},
           HttpRequest{.url = "http://host:99999/"},
           HttpRequest{.url = "http://user:secret@host/"},
           HttpRequest{.url = "file:///etc/hostname"},
       }) {
    const HttpOutcome outcome = client.Send(request, Soon());
    EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kInvalidArgument) << request.url;
    EXPECT_THAT(ErrorOf(outcome).message(), testing::Not(HasSubstr("secret")));
  }
  EXPECT_EQ(server.connection_count(), 0);
}

TEST(HttpClient, NamesAHostThatDoesNotExist) {
  HttpClient client;
  const HttpOutcome outcome = client.Send(Get("http://no-such-host.invalid:81/"), Soon());
  EXPECT_EQ(ErrorOf(outcome).code(), ErrorCode::kUnavailable);
  EXPECT_THAT(ErrorOf(outcome).message(), HasSubstr("no-such-host.invalid:81"));
}

TEST(HttpClient, AsksNoProxyForLoopback) {
  const ScriptedHttpServer server = ServerOf({.bytes = HttpAnswer(200, "x")});
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  HttpClient client;
  const HttpOutcome near = client.Send(Get(server.url()), Soon());
  const HttpOutcome far = client.Send(Get("http://far.invalid/"), Soon());
  unsetenv("http_proxy");
  EXPECT_EQ(ResponseOf(near).status, 200);
  EXPECT_EQ(ErrorOf(far).code(), ErrorCode::kUnavailable);
  EXPECT_THAT(ErrorOf(far).message(), HasSubstr("Connection refused"));
}

TEST(HttpClient, ServesManyThreadsAtOnce) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    return ScriptedReply{.bytes = HttpAnswer(200, request.target)};
  });
  HttpClient client;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string target = "/" + std::to_string(t) + "." + std::to_string(i);
        const HttpOutcome outcome = client.Send(Get(server.url() + target), Soon());
        if (ResponseOf(outcome).body.text() == target) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 200);
  EXPECT_LE(server.connection_count(), 8);
}

}  // namespace
}  // namespace lambdaml::net
