#include "lambdaml/net/aws_client.h"

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/net/sha256.h"

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
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Then = ScriptedReply::Then;

Deadline Soon() { return Deadline::After(seconds(20)); }

Credentials Keys(const std::string& key) {
  return {.access_key_id = key,
          .secret_access_key = "TOPSECRET",
          .session_token = "TOKEN",
          .expiration = std::nullopt};
}

// The made-up service says "error <code>" in the body of a failure.
std::optional<ServiceError> ParseError(const AwsRequest& /*request*/,
                                       const HttpResponse& response) {
  if (!response.body.text().starts_with("error ")) return std::nullopt;
  return ServiceError{.code = std::string(response.body.text().substr(6)), .message = ""};
}

constexpr base::Duration kLong = std::chrono::minutes(4);

AwsClientOptions Options(const ScriptedHttpServer& server) {
  return {.service = "s3",
          .region = "us-east-1",
          .endpoint = server.url(),
          .credentials = FixedCredentials(Keys("KEY")),
          .parse_error = ParseError,
          .on_attempt = nullptr};
}

AwsRequest Request(const std::string& path) {
  return {.operation = "get thing " + path, .path = path};
}

Error FailureOf(AwsClient& client, const AwsRequest& request, const Deadline& deadline) {
  try {
    client.Send(request, deadline);
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), AllOf(testing::StartsWith(request.operation + ": "),
                                       Not(HasSubstr("TOPSECRET")), Not(HasSubstr("TOKEN"))));
    return error;
  }
  throw std::runtime_error("an answer came");
}

// Recomputes the signature from what has arrived.
std::string SignatureOf(const ReceivedRequest& received, const SigningScope& scope) {
  const std::string& authorization = received.headers.at("authorization");
  const std::string signed_headers = authorization.substr(
      authorization.find("SignedHeaders=") + 14,
      authorization.find(", Signature=") - authorization.find("SignedHeaders=") - 14);
  std::vector<HttpHeader> headers;
  for (const auto& [name, value] : received.headers) {
    const bool is_signed = (";" + signed_headers + ";").find(";" + name + ";") != std::string::npos;
    const bool is_added = name == "host" || name == "x-amz-date" ||
                          name == "x-amz-security-token" || name == "x-amz-content-sha256";
    if (is_signed && !is_added) headers.push_back({name, value});
  }
  const std::string hash = Hex(Sha256(AsBytes(received.body)));
  const std::string date = received.headers.at("x-amz-date");
  const auto number = [&](size_t begin, size_t size) {
    return std::stoi(date.substr(begin, size));
  };
  const WallTime time =
      std::chrono::sys_days(std::chrono::year(number(0, 4)) / number(4, 2) / number(6, 2)) +
      std::chrono::hours(number(9, 2)) + std::chrono::minutes(number(11, 2)) +
      seconds(number(13, 2));
  return Sign({.method = received.method,
               .host = received.headers.at("host"),
               .path = "/base/a b+c",
               .query = std::vector<QueryParameter>{{"z", "1&2"}, {"list-type", ""}},
               .headers = headers,
               .payload_hash = hash},
              scope, Keys("KEY"), time)
      .back()
      .value;
}

TEST(AwsClient, SendsTheRequestThatItHasSigned) {
  const ScriptedHttpServer server(
      [](const ReceivedRequest&) { return ScriptedReply{.bytes = HttpAnswer(200, "fine")}; });
  AwsClientOptions options = Options(server);
  options.endpoint += "/base/";
  AwsClient client(options);
  EXPECT_EQ(client.authority(), server.authority());
  AwsRequest request = Request("/a b+c");
  request.method = "PUT";
  request.query = {{"z", "1&2"}, {"list-type", ""}};
  request.headers = {{"Content-Type", "text/plain"}, {"x-amz-meta-odd", "two  spaces"}};
  request.body = AsBytes("the body");
  const AwsAnswer answer = client.Send(request, Soon());
  EXPECT_EQ(answer.response.status, 200);
  EXPECT_EQ(answer.response.body.text(), "fine");
  EXPECT_EQ(answer.error_code, "");
  EXPECT_EQ(answer.attempt_count, 1);
  const ReceivedRequest received = server.requests()[0];
  EXPECT_EQ(received.method, "PUT");
  EXPECT_EQ(received.target, "/base/a%20b%2Bc?list-type=&z=1%262");
  EXPECT_EQ(received.body, "the body");
  EXPECT_EQ(received.headers.at("host"), server.authority());
  EXPECT_EQ(received.headers.at("content-type"), "text/plain");
  EXPECT_EQ(received.headers.at("x-amz-security-token"), "TOKEN");
  EXPECT_EQ(received.headers.at("x-amz-content-sha256"), Hex(Sha256(AsBytes("the body"))));
  EXPECT_EQ(received.headers.at("authorization"), SignatureOf(received, {"us-east-1", "s3"}));
}

TEST(AwsClient, LeavesABodyOutOfTheSignatureIfToldTo) {
  const ScriptedHttpServer server(
      [](const ReceivedRequest&) { return ScriptedReply{.bytes = HttpAnswer(200, "")}; });
  AwsClientOptions options = Options(server);
  options.sign_payload = false;
  AwsClient client(options);
  client.Send(Request("/k"), Soon());
  EXPECT_EQ(server.requests()[0].headers.at("x-amz-content-sha256"), "UNSIGNED-PAYLOAD");
}

TEST(AwsClient, TriesAgainWhatMayPassAndSignsEachAttempt) {
  const std::vector<ScriptedReply> replies = {
      {.bytes = HttpAnswer(503, "error SlowDown")},
      {.then = Then::kClose},
      {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", .then = Then::kReset},
      {.bytes = HttpAnswer(400, "error ThrottlingException")},
      {.bytes = HttpAnswer(200, "error InternalError")},
      {.bytes = "garbage\r\n\r\n", .then = Then::kClose},
      {.bytes = HttpAnswer(429, "")},
      {.bytes = HttpAnswer(200, "at last")}};
  const ScriptedHttpServer server([&](const ReceivedRequest& request) {
    return replies.at(static_cast<size_t>(request.number));
  });
  int attempts = 0;
  int retries = 0;
  int answers = 0;
  AwsClientOptions options = Options(server);
  options.on_attempt = [&](const AwsRequest& request, const HttpOutcome& outcome, bool is_retry) {
    EXPECT_EQ(request.path, "/k");
    ++attempts;
    retries += is_retry ? 1 : 0;
    answers += std::holds_alternative<HttpResponse>(outcome) ? 1 : 0;
  };
  AwsClient client(options);
  const AwsAnswer answer = client.Send(Request("/k"), Soon());
  EXPECT_EQ(answer.response.body.text(), "at last");
  EXPECT_EQ(answer.attempt_count, 8);
  EXPECT_EQ(attempts, 8);
  EXPECT_EQ(retries, 7);
  EXPECT_EQ(answers, 5);
  EXPECT_EQ(server.requests().size(), 8U);
  for (const ReceivedRequest& request : server.requests()) {
    EXPECT_TRUE(request.headers.contains("authorization"));
  }
}

TEST(AwsClient, SendsOnlyThoseAgainThatFailed) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const bool fails = request.number < 50 && request.target.ends_with('3');
    return ScriptedReply{.bytes = HttpAnswer(fails ? 503 : 200, request.target)};
  });
  AwsClient client(Options(server));
  std::vector<AwsRequest> requests;
  for (int i = 0; i < 50; ++i) requests.push_back(Request("/" + std::to_string(i)));
  const std::vector<AwsAnswer> answers = client.SendAll(requests, Soon());
  ASSERT_EQ(answers.size(), 50U);
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ(answers[i].response.body.text(), "/" + std::to_string(i));
    EXPECT_EQ(answers[i].attempt_count, i % 10 == 3 ? 2 : 1);
  }
  EXPECT_EQ(server.requests().size(), 55U);
  EXPECT_TRUE(client.SendAll({}, Soon()).empty());
}

TEST(AwsClient, GivesExpectedErrorsAsAnswers) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    return ScriptedReply{.bytes = HttpAnswer(404, "error NoSuch" + request.target.substr(1))};
  });
  AwsClient client(Options(server));
  AwsRequest request = Request("/Key");
  request.expected_errors = {"Other", "NoSuchKey"};
  EXPECT_EQ(client.Send(request, Soon()).error_code, "NoSuchKey");
  EXPECT_EQ(client.Send(request, Soon()).response.status, 404);
  request.path = "/Bucket";
  EXPECT_EQ(FailureOf(client, request, Soon()).code(), ErrorCode::kNotFound);
}

TEST(AwsClient, EndsAtOnceWithWhatNoRetryHelps) {
  for (const char* const code : {"AccessDenied", "SignatureDoesNotMatch", "NoSuchBucket", "Odd",
                                 "PermanentRedirect", "ExpiredToken", "RequestTimeTooSkewed"}) {
    const ScriptedHttpServer server([&](const ReceivedRequest&) {
      return ScriptedReply{.bytes = HttpAnswer(400, std::string("error ") + code)};
    });
    AwsClient client(Options(server));
    const Error error = FailureOf(client, Request("/k"), Soon());
    EXPECT_THAT(error.message(), AllOf(HasSubstr(server.authority()), HasSubstr(code)));
    EXPECT_EQ(server.requests().size(), 1U) << code;
  }
}

TEST(AwsClient, GivesUpWithTheLastCauseWhenTheServiceStaysAway) {
  const ScriptedHttpServer server([](const ReceivedRequest&) {
    return ScriptedReply{.bytes = HttpAnswer(503, "error SlowDown")};
  });
  AwsClientOptions options = Options(server);
  options.first_contact_max = {};
  options.outage_max = milliseconds(300);
  AwsClient client(options);
  const Error error = FailureOf(client, Request("/k"), Deadline::After(kLong));
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("503 SlowDown"), HasSubstr("attempts)")));

  AwsClientOptions dead = Options(server);
  dead.endpoint = "http://127.0.0.1:1";
  dead.first_contact_max = milliseconds(100);
  dead.outage_max = kLong;
  AwsClient nobody(dead);
  const Error refused = FailureOf(nobody, Request("/k"), Deadline::After(kLong));
  EXPECT_EQ(refused.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("cannot connect to 127.0.0.1:1: Connection refused"));
}

TEST(AwsClient, SaysAtTheDeadlineWhatWentWrongBefore) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    if (request.number == 0) return ScriptedReply{.bytes = HttpAnswer(500, "error InternalError")};
    return ScriptedReply{.then = Then::kSayNothing};
  });
  AwsClient client(Options(server));
  const Error error = FailureOf(client, Request("/k"), Deadline::After(milliseconds(500)));
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("before the deadline"), HasSubstr("InternalError")));
}

TEST(AwsClient, ThrowsTheErrorOfTheOneThatFailedForGood) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const bool fails = request.target == "/2";
    return ScriptedReply{.bytes = HttpAnswer(fails ? 403 : 200, fails ? "error AccessDenied" : "")};
  });
  AwsClientOptions options = Options(server);
  int attempts = 0;
  options.on_attempt = [&](const AwsRequest&, const HttpOutcome&, bool) { ++attempts; };
  AwsClient client(options);
  const std::vector<AwsRequest> requests = {Request("/1"), Request("/2"), Request("/3")};
  try {
    client.SendAll(requests, Soon());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
    EXPECT_THAT(error.message(), testing::StartsWith("get thing /2: "));
  }
  EXPECT_EQ(attempts, 3);  // all three are billed
}

// Gives OLD until it is told that OLD has expired.
class Renewable final : public CredentialsProvider {
 public:
  Credentials Get(const Deadline& /*deadline*/) override {
    return Keys(is_renewed_ ? "NEW" : "OLD");
  }
  bool Renew(const Credentials& rejected) override {
    ++renewals_;
    is_renewed_ = rejected == Keys("OLD");
    return true;
  }
  int renewals() const { return renewals_; }

 private:
  std::atomic<bool> is_renewed_ = false;
  std::atomic<int> renewals_ = 0;
};

TEST(AwsClient, RenewsExpiredCredentialsOnce) {
  const auto credentials = std::make_shared<Renewable>();
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const bool is_new = request.headers.at("authorization").find("=NEW/") != std::string::npos;
    const bool is_accepted = is_new && request.target == "/good";
    return ScriptedReply{.bytes = is_accepted ? HttpAnswer(200, "in")
                                              : HttpAnswer(400, "error ExpiredToken")};
  });
  AwsClientOptions options = Options(server);
  options.credentials = credentials;
  AwsClient client(options);
  EXPECT_EQ(client.Send(Request("/good"), Soon()).response.body.text(), "in");
  EXPECT_EQ(credentials->renewals(), 1);
  EXPECT_EQ(server.requests().size(), 2U);
  const Error error = FailureOf(client, Request("/bad"), Soon());
  EXPECT_EQ(error.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(error.message(), HasSubstr("credentials have expired"));
  EXPECT_EQ(server.requests().size(), 4U);
}

TEST(AwsClient, WritesPartsInPlaceAlsoWhenOneIsTriedAgain) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const std::string part(1000, request.target[1]);
    if (request.number < 2) {
      return ScriptedReply{.bytes = HttpAnswer(206, part).substr(0, 500), .then = Then::kReset};
    }
    return ScriptedReply{.bytes = HttpAnswer(206, part)};
  });
  AwsClient client(Options(server));
  base::Bytes whole(4000);
  std::vector<AwsRequest> requests;
  for (const char* const path : {"/a", "/b", "/c", "/d"}) {
    AwsRequest request = Request(path);
    request.destination = std::span(whole).subspan(requests.size() * 1000, 1000);
    requests.push_back(request);
  }
  client.SendAll(requests, Soon());
  EXPECT_TRUE(base::AsText(whole) == std::string(1000, 'a') + std::string(1000, 'b') +
                                         std::string(1000, 'c') + std::string(1000, 'd'));
}

TEST(AwsClient, RefusesAMalformedEndpoint) {
  const ScriptedHttpServer server([](const ReceivedRequest&) { return ScriptedReply{}; });
  for (const char* const endpoint : {"", "h", "http://h/?x", "http://h/a%20b", "http://h/#x"}) {
    AwsClientOptions options = Options(server);
    options.endpoint = endpoint;
    EXPECT_THROW(AwsClient client(options), Error) << endpoint;
  }
}

TEST(AwsClient, ServesManyThreadsAtOnce) {
  const ScriptedHttpServer server([](const ReceivedRequest& request) {
    const bool fails = request.number % 5 == 4;
    return ScriptedReply{.bytes = HttpAnswer(fails ? 503 : 200, request.target)};
  });
  AwsClient client(Options(server));
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        const std::string path = "/" + std::to_string(t) + "." + std::to_string(i);
        if (client.Send(Request(path), Soon()).response.body.text() == path) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 60);
}

}  // namespace
}  // namespace lambdaml::net
