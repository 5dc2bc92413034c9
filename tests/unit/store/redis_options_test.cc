#include "lambdaml/store/redis_options.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string MessageOf(const std::string& url) {
  try {
    ParseRedisUrl(url);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << url << " was not refused";
  return "";
}

TEST(RedisOptions, AUrlNamesServerUserDatabaseAndPrefix) {
  const RedisOptions options =
      ParseRedisUrl("rediss://me:s%40cret@cache.example:6380/3?prefix=team/one&ca=/etc/ca.pem");
  EXPECT_EQ(options.host, "cache.example");
  EXPECT_EQ(options.port, 6380);
  EXPECT_TRUE(options.use_tls);
  EXPECT_EQ(options.ca_file, "/etc/ca.pem");
  EXPECT_EQ(options.user, "me");
  EXPECT_EQ(options.password, "s@cret");
  EXPECT_EQ(options.database, 3);
  EXPECT_EQ(options.key_prefix, "team/one/");
  EXPECT_THAT(options.url, AllOf(HasSubstr("me:***@"), Not(HasSubstr("cret"))));
}

TEST(RedisOptions, MostOfItHasDefaults) {
  const RedisOptions options = ParseRedisUrl("redis://localhost");
  EXPECT_EQ(options.port, 6379);
  EXPECT_FALSE(options.use_tls);
  EXPECT_EQ(options.ca_file, "");
  EXPECT_EQ(options.user, "");
  EXPECT_EQ(options.password, "");
  EXPECT_EQ(options.database, 0);
  EXPECT_EQ(options.key_prefix, "lambdaml/");
}

TEST(RedisOptions, ThePasswordMayComeFromTheEnvironmentAndTheUrlsWins) {
  ::setenv("REDIS_PASSWORD", "from-environment", 1);
  EXPECT_EQ(ParseRedisUrl("redis://h").password, "from-environment");
  EXPECT_EQ(ParseRedisUrl("redis://me@h").password, "from-environment");
  EXPECT_EQ(ParseRedisUrl("redis://:from-url@h").password, "from-url");
  EXPECT_THAT(MessageOf("redis://h/x"), Not(HasSubstr("from-environment")));
  ::unsetenv("REDIS_PASSWORD");
}

TEST(RedisOptions, MistakesAreRefusedWithTheReason) {
  EXPECT_THAT(MessageOf("redis://h/db"), HasSubstr("not the number of a database"));
  EXPECT_THAT(MessageOf("redis://h/-1"), HasSubstr("not the number of a database"));
  EXPECT_THAT(MessageOf("redis://h/1/2"), HasSubstr("not the number of a database"));
  EXPECT_THAT(MessageOf("redis://h/99999999999"), HasSubstr("not the number of a database"));
  EXPECT_THAT(MessageOf("redis://h?prefix=a*b"), HasSubstr("prefix"));
  EXPECT_THAT(MessageOf("redis://h?prefix="), HasSubstr("prefix"));
  EXPECT_THAT(MessageOf("redis://h?ca=/f"), HasSubstr("rediss://"));
  EXPECT_THAT(MessageOf("redis://h?db=1"), HasSubstr("no such parameter: db"));
  EXPECT_THAT(MessageOf("redis://a,b"), HasSubstr("one host"));
  EXPECT_THAT(MessageOf("redis://me@h"), HasSubstr("password is missing"));
}

}  // namespace
}  // namespace lambdaml::store
