#include "lambdaml/net/credentials.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "lambdaml/base/error.h"

#include "support/scripted_http_server.h"
#include "unit/net/aws_settings.h"

namespace lambdaml::net {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;
using std::chrono::seconds;
using test::HttpAnswer;
using test::ReceivedRequest;
using test::ScriptedHttpServer;
using test::ScriptedReply;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Deadline Soon() { return Deadline::After(seconds(20)); }

std::shared_ptr<CredentialsProvider> ChainOf(const AwsSettings& settings,
                                             std::optional<std::string> profile = {}) {
  return CredentialsChain({.profile = std::move(profile), .environment = settings.environment()});
}

Credentials Keys(const std::string& key, const std::string& secret, const std::string& token = "") {
  return {.access_key_id = key,
          .secret_access_key = secret,
          .session_token = token,
          .expiration = std::nullopt};
}

Error FailureOf(const AwsSettings& settings, std::optional<std::string> profile = {}) {
  try {
    ChainOf(settings, std::move(profile))->Get(Soon());
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("there are credentials");
}

std::string EndpointAnswer(const std::string& key, const std::string& expiration) {
  return fmt::format(
      R"({{"Code": "Success", "AccessKeyId": "{}", "SecretAccessKey": "S", "Token": "T",)"
      R"( "Expiration": "{}"}})",
      key, expiration);
}

std::string IsoTime(WallTime time) {
  const std::string t = FormatAmzDate(time);  // 20150830T123600Z
  return fmt::format("{}-{}-{}T{}:{}:{}Z", t.substr(0, 4), t.substr(4, 2), t.substr(6, 2),
                     t.substr(9, 2), t.substr(11, 2), t.substr(13, 2));
}

std::string IsoTimeIn(seconds duration) {
  return IsoTime(std::chrono::system_clock::now() + duration);
}

TEST(Credentials, ComeFromTheEnvironmentFirst) {
  AwsSettings settings;
  settings.Write("credentials", "[default]\naws_access_key_id = F\naws_secret_access_key = f\n");
  settings.Set("AWS_ACCESS_KEY_ID", "E");
  settings.Set("AWS_SECRET_ACCESS_KEY", "e");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), Keys("E", "e"));
  settings.Set("AWS_SESSION_TOKEN", "t");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), Keys("E", "e", "t"));
}

TEST(Credentials, ComeFromTheProfileThatIsAskedFor) {
  AwsSettings settings;
  settings.Write("credentials",
                 "[default]\naws_access_key_id = F\naws_secret_access_key = f # mine\n"
                 "[temporary]\naws_access_key_id = T\naws_secret_access_key = a+/=\n"
                 "aws_session_token = tok==\n");
  settings.Write("config", "[profile there]\naws_access_key_id = C\naws_secret_access_key = c\n");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), Keys("F", "f"));
  EXPECT_EQ(ChainOf(settings, "temporary")->Get(Soon()), Keys("T", "a+/=", "tok=="));
  settings.Set("AWS_PROFILE", "there");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), Keys("C", "c"));
  settings.Set("AWS_ACCESS_KEY_ID", "E");
  settings.Set("AWS_SECRET_ACCESS_KEY", "e");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), Keys("E", "e"));
  EXPECT_EQ(ChainOf(settings, "temporary")->Get(Soon()), Keys("T", "a+/=", "tok=="));
}

TEST(Credentials, SayWhatWasTriedWhenThereAreNone) {
  const Error failure = FailureOf(AwsSettings());
  EXPECT_EQ(failure.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(failure.message(),
              AllOf(HasSubstr("no AWS credentials"), HasSubstr("AWS_ACCESS_KEY_ID is not set"),
                    HasSubstr("/.aws/credentials"), HasSubstr("container endpoint"),
                    HasSubstr("AWS_EC2_METADATA_DISABLED"), HasSubstr("aws configure")));
}

TEST(Credentials, AreNotGuessedFromHalfASetting) {
  AwsSettings settings;
  settings.Set("AWS_SECRET_ACCESS_KEY", "TOPSECRET");
  EXPECT_THAT(FailureOf(settings).message(),
              AllOf(HasSubstr("AWS_ACCESS_KEY_ID is not"), Not(HasSubstr("TOPSECRET"))));
  AwsSettings files;
  files.Write("credentials", "[default]\naws_access_key_id = K\n");
  EXPECT_THAT(FailureOf(files).message(), HasSubstr("not aws_secret_access_key"));
  files.Write("credentials",
              "[default]\naws_access_key_id = K\naws_secret_access_key = TOP SECRET\n");
  EXPECT_THAT(FailureOf(files).message(), Not(HasSubstr("TOP SECRET")));
  EXPECT_EQ(FailureOf(files).code(), ErrorCode::kInvalidArgument);
}

TEST(Credentials, SayHowToGetPlainOnesOutOfProfilesThatAreNotSupported) {
  for (const char* const property :
       {"role_arn", "sso_session", "sso_start_url", "credential_process", "credential_source",
        "web_identity_token_file"}) {
    AwsSettings settings;
    settings.Write("config", fmt::format("[profile p]\n{} = x\nsource_profile = y\n", property));
    const Error failure = FailureOf(settings, "p");
    EXPECT_EQ(failure.code(), ErrorCode::kPermissionDenied);
    EXPECT_THAT(failure.message(),
                AllOf(HasSubstr(property), HasSubstr("export-credentials --profile p")));
  }
}

TEST(Credentials, ComeFromTheContainersEndpoint) {
  const std::string expiration = IsoTimeIn(std::chrono::hours(6));
  const ScriptedHttpServer server([&](const ReceivedRequest& request) {
    if (request.number == 0) return ScriptedReply{.bytes = HttpAnswer(503, "busy")};
    return ScriptedReply{.bytes = HttpAnswer(200, EndpointAnswer("C", expiration))};
  });
  AwsSettings settings;
  settings.Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url() + "/creds?x=1");
  settings.Set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "let-me-in");
  const auto chain = ChainOf(settings);
  Credentials expected = Keys("C", "S", "T");
  expected.expiration = ParseIsoTime(expiration);
  EXPECT_EQ(chain->Get(Soon()), expected);
  EXPECT_EQ(chain->Get(Soon()), expected);  // kept
  ASSERT_EQ(server.requests().size(), 2U);
  EXPECT_EQ(server.requests()[1].target, "/creds?x=1");
  EXPECT_EQ(server.requests()[1].headers.at("authorization"), "let-me-in");

  settings.Write("token", "from-file\n");
  settings.Set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", settings.PathOf("token"));
  EXPECT_EQ(ChainOf(settings)->Get(Soon()), expected);
  EXPECT_EQ(server.requests()[2].headers.at("authorization"), "from-file");
}

TEST(Credentials, GoToNoFarContainerEndpointWithoutTls) {
  AwsSettings settings;
  settings.Set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "TOPSECRET");
  for (const char* const url : {"http://example.com/x", "http://127.0.0.1.example.com/", "nonsense",
                                "http://192.168.0.1/"}) {
    settings.Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", url);
    const Error failure = FailureOf(settings);
    EXPECT_EQ(failure.code(), ErrorCode::kInvalidArgument) << url;
    EXPECT_THAT(failure.message(), AllOf(HasSubstr("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
                                         Not(HasSubstr("TOPSECRET"))));
  }
}

TEST(Credentials, AreNotTakenFromAMalformedAnswer) {
  for (const std::string& body :
       {std::string("not json"), std::string("{}"), std::string("[]"),
        std::string(R"({"AccessKeyId": 7, "SecretAccessKey": "S", "Token": "T"})"),
        EndpointAnswer("C", "tomorrow"), std::string(100'000, '{')}) {
    const ScriptedHttpServer server(
        [&](const ReceivedRequest&) { return ScriptedReply{.bytes = HttpAnswer(200, body)}; });
    AwsSettings settings;
    settings.Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    EXPECT_THAT(FailureOf(settings).message(), HasSubstr("container's credentials endpoint"));
  }
}

// Plays the instance metadata service, version 2.
ScriptedReply InstanceReply(const ReceivedRequest& request, const std::string& answer) {
  const std::string path = "/latest/meta-data/iam/security-credentials/";
  if (request.method == "PUT" && request.target == "/latest/api/token") {
    return {.bytes = HttpAnswer(200, "session")};
  }
  const auto token = request.headers.find("x-aws-ec2-metadata-token");
  if (token == request.headers.end() || token->second != "session") {
    return {.bytes = HttpAnswer(401, "")};
  }
  if (request.target == path) return {.bytes = HttpAnswer(200, "my-role\n")};
  if (request.target == path + "my-role") return {.bytes = HttpAnswer(200, answer)};
  return {.bytes = HttpAnswer(404, "")};
}

TEST(Credentials, ComeFromTheInstanceMetadata) {
  const std::string answer = EndpointAnswer("I", IsoTimeIn(std::chrono::hours(6)));
  const ScriptedHttpServer server(
      [&](const ReceivedRequest& request) { return InstanceReply(request, answer); });
  AwsSettings settings;
  settings.Unset("AWS_EC2_METADATA_DISABLED");
  settings.Set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url() + "/");
  EXPECT_EQ(ChainOf(settings)->Get(Soon()).access_key_id, "I");
}

TEST(Credentials, DoNotWaitForAnInstanceMetadataServiceThatIsNotThere) {
  const ScriptedHttpServer server([](const ReceivedRequest&) {
    return ScriptedReply{.then = ScriptedReply::Then::kSayNothing};
  });
  AwsSettings settings;
  settings.Unset("AWS_EC2_METADATA_DISABLED");
  settings.Set("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url());
  const Error failure = FailureOf(settings);
  EXPECT_EQ(failure.code(), ErrorCode::kPermissionDenied);
  EXPECT_THAT(failure.message(), HasSubstr("instance metadata (no answer from"));
}

// A container endpoint that gives credentials K0, K1, … that last for the given times.
class Renewal {
 public:
  explicit Renewal(std::vector<seconds> lifetimes)
      : lifetimes_(std::move(lifetimes)), server_([this](const ReceivedRequest& request) {
          const auto number = static_cast<size_t>(request.number);
          if (number >= lifetimes_.size()) return ScriptedReply{.bytes = HttpAnswer(403, "no")};
          return ScriptedReply{
              .bytes = HttpAnswer(200, EndpointAnswer("K" + std::to_string(request.number),
                                                      IsoTimeIn(lifetimes_[number])))};
        }) {
    settings_.Set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_.url());
    chain_ = ChainOf(settings_);
  }

  CredentialsProvider& chain() { return *chain_; }
  std::string Key() { return chain_->Get(Soon()).access_key_id; }
  size_t request_count() const { return server_.requests().size(); }

 private:
  const std::vector<seconds> lifetimes_;
  AwsSettings settings_;
  ScriptedHttpServer server_;
  std::shared_ptr<CredentialsProvider> chain_;
};

TEST(Credentials, AreRenewedWhenTheyHaveExpired) {
  Renewal renewal({seconds(-10), std::chrono::hours(1)});
  EXPECT_EQ(renewal.Key(), "K0");
  EXPECT_EQ(renewal.Key(), "K1");
  EXPECT_EQ(renewal.Key(), "K1");
  EXPECT_EQ(renewal.request_count(), 2U);
}

TEST(Credentials, AreUsedUntilTheyExpireWithoutAskingAllTheTime) {
  Renewal renewal({seconds(60)});  // within the time in which new ones are asked for
  for (int i = 0; i < 10; ++i) EXPECT_EQ(renewal.Key(), "K0");
  EXPECT_EQ(renewal.request_count(), 1U);
}

TEST(Credentials, AreRenewedOnceTheServiceHasRejectedThem) {
  Renewal renewal({std::chrono::hours(1), std::chrono::hours(1)});
  const Credentials first = renewal.chain().Get(Soon());
  EXPECT_TRUE(renewal.chain().Renew(first));
  EXPECT_EQ(renewal.Key(), "K1");
  EXPECT_TRUE(renewal.chain().Renew(first));  // another thread, late: K1 stays
  EXPECT_EQ(renewal.Key(), "K1");
}

TEST(Credentials, AreFetchedOnceForManyThreads) {
  Renewal renewal({std::chrono::hours(1)});
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] { right += renewal.Key() == "K0" ? 1 : 0; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(renewal.request_count(), 1U);
}

TEST(Credentials, ThatAreFixedStayTheSame) {
  const auto fixed = FixedCredentials(Keys("K", "S"));
  EXPECT_EQ(fixed->Get(Soon()), Keys("K", "S"));
  EXPECT_FALSE(fixed->Renew(Keys("K", "S")));
}

}  // namespace
}  // namespace lambdaml::net
