// What a user reads who has got something wrong, and how long that takes. Against Ceph's gateway.
#include <chrono>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

#include "support/servers/rgw_server.h"
#include "support/servers/s3_backend.h"

namespace lambdaml::test {
namespace {

using base::AsBytes;
using base::ErrorCode;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(30)); }

using Call = std::function<void(store::Store&)>;

// Every call that a store has.
const std::vector<std::pair<const char*, Call>>& Calls() {
  static const std::vector<std::pair<const char*, Call>> calls = {
      {"get", [](store::Store& s3) { s3.Get("key", Soon()); }},
      {"put", [](store::Store& s3) { s3.Put("key", AsBytes("value"), Soon()); }},
      {"create", [](store::Store& s3) { s3.PutIfAbsent("key", AsBytes("value"), Soon()); }},
      {"get", [](store::Store& s3) { s3.GetVersioned("key", Soon()); }},
      {"swap", [](store::Store& s3) { s3.CompareAndSwap("key", "v", AsBytes("x"), Soon()); }},
      {"delete", [](store::Store& s3) { s3.Delete(std::vector<std::string>{"key"}, Soon()); }},
      {"list", [](store::Store& s3) { s3.List("", Soon()); }},
      {"get", [](store::Store& s3) { s3.Wait("key", Soon()); }},
      {"get",
       [](store::Store& s3) {
         s3.WaitAll(std::vector<std::string>{"key", "other"}, Soon());
       }},
  };
  return calls;
}

class S3ErrorsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!RgwServer::IsInstalled()) GTEST_SKIP() << RgwServer::kMissing;
    bucket_ = RgwServer::Shared().MakeBucket();
  }

  // Every call fails, in this way, at once, and tells no secret.
  static void ExpectFailures(store::Store& s3, ErrorCode code,
                             const testing::Matcher<const std::string&>& message) {
    for (const auto& [verb, call] : Calls()) {
      const auto start = std::chrono::steady_clock::now();
      try {
        call(s3);
        ADD_FAILURE() << verb << " did not fail";
      } catch (const base::Error& error) {
        EXPECT_EQ(error.code(), code) << error.message();
        EXPECT_THAT(error.message(), message);
        EXPECT_THAT(error.message(), testing::StartsWith(verb));
        EXPECT_THAT(error.message(), HasSubstr(s3.url()));
        for (const char* secret : {"testsecret", "wrongsecret", "bogustoken", "stranger/secret"}) {
          EXPECT_THAT(error.message(), Not(HasSubstr(secret)));
        }
      }
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    }
  }

  std::string bucket_;
};

TEST_F(S3ErrorsTest, AMissingBucketIsNamed) {
  const auto s3 = OpenS3(RgwServer::Shared(), "no-such-bucket/p");
  ExpectFailures(*s3, ErrorCode::kNotFound,
                 AllOf(HasSubstr("the bucket no-such-bucket does not exist at 127.0.0.1:"),
                       HasSubstr("create it, or correct")));
}

TEST_F(S3ErrorsTest, AWrongSecretIsSaidWithoutShowingIt) {
  net::Credentials credentials = RgwServer::credentials();
  credentials.secret_access_key = "wrongsecret/0123456789abcdefghijklmnopqr";
  const auto s3 = OpenS3(RgwServer::Shared(), bucket_, {}, credentials);
  ExpectFailures(*s3, ErrorCode::kPermissionDenied, HasSubstr("not a pair it knows"));
}

TEST_F(S3ErrorsTest, AnUnknownAccessKeyIsSaid) {
  net::Credentials credentials = RgwServer::credentials();
  credentials.access_key_id = "AKIANOBODY0000000000";
  const auto s3 = OpenS3(RgwServer::Shared(), bucket_, {}, credentials);
  ExpectFailures(*s3, ErrorCode::kPermissionDenied, HasSubstr("not a pair it knows"));
}

TEST_F(S3ErrorsTest, ABogusSessionTokenIsRefused) {
  net::Credentials credentials = RgwServer::credentials();
  credentials.session_token = "bogustoken+/=0123456789";
  const auto s3 = OpenS3(RgwServer::Shared(), bucket_, {}, credentials);
  ExpectFailures(*s3, ErrorCode::kPermissionDenied, HasSubstr("127.0.0.1:"));
}

TEST_F(S3ErrorsTest, AMissingPermissionIsNamed) {
  const net::Credentials stranger = RgwServer::Shared().MakeStranger();
  OpenS3(RgwServer::Shared(), bucket_ + "/p")->Put("key", AsBytes("value"), Soon());
  const auto s3 = OpenS3(RgwServer::Shared(), bucket_ + "/p", {}, stranger);
  ExpectFailures(*s3, ErrorCode::kPermissionDenied, HasSubstr("the credentials need s3:"));
  try {
    s3->Put("key", AsBytes("x"), Soon());
    ADD_FAILURE() << "a stranger may write";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.message(),
                HasSubstr(fmt::format("need s3:PutObject on arn:aws:s3:::{}/p/*", bucket_)));
  }
}

TEST_F(S3ErrorsTest, AnEndpointWhereNobodyListensIsNamed) {
  const std::string url = fmt::format("s3://bucket?endpoint=http://127.0.0.1:{}", FreePort());
  store::S3Store s3(store::LocateS3(store::StoreUrl::Parse(url)),
                    net::FixedCredentials(RgwServer::credentials()), {},
                    std::chrono::milliseconds(300));
  try {
    s3.Get("key", Soon());
    ADD_FAILURE() << "somebody answered";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.message(), HasSubstr("127.0.0.1:"));
  }
  EXPECT_EQ(s3.counters().retries + 1, s3.counters().get_requests);
}

}  // namespace
}  // namespace lambdaml::test
