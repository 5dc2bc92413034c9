#include "lambdaml/store/store_url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  ADD_FAILURE() << "nothing was refused";
  return "";
}

TEST(StoreUrl, HasSixParts) {
  const StoreUrl url =
      StoreUrl::Parse("redis://us%40er:p%3Aw@cache:6380/3?region=eu-west-1&endpoint=http%3A//h:1");
  EXPECT_EQ(url.scheme, "redis");
  EXPECT_EQ(url.user, "us@er");
  EXPECT_EQ(url.password, "p:w");
  EXPECT_EQ(url.authority, "cache:6380");
  EXPECT_EQ(url.path, "3");
  EXPECT_THAT(url.parameters,
              ElementsAre(Pair("endpoint", "http://h:1"), Pair("region", "eu-west-1")));
  EXPECT_EQ(url.redacted,
            "redis://us%40er:***@cache:6380/3?region=eu-west-1&endpoint=http%3A//h:1");
}

TEST(StoreUrl, PartsMayBeMissing) {
  const StoreUrl url = StoreUrl::Parse("s3://bucket");
  EXPECT_EQ(url.authority, "bucket");
  EXPECT_EQ(url.path, "");
  EXPECT_EQ(url.redacted, "s3://bucket");
  EXPECT_EQ(StoreUrl::Parse("s3://bucket/a/b").path, "a/b");
  EXPECT_EQ(StoreUrl::Parse("s3://bucket?x=1").authority, "bucket");
  EXPECT_EQ(StoreUrl::Parse("redis://:p@ss@host").password, "p@ss");
  EXPECT_EQ(StoreUrl::Parse("s3://bucket/a@b").authority, "bucket");
}

TEST(StoreUrl, HostsAreAListWithPorts) {
  const auto hosts = StoreUrl::Parse("memcached://a:1,b,[::1]:3,[fe80::2]").Hosts(11211);
  EXPECT_THAT(hosts, ElementsAre(HostPort{"a", 1}, HostPort{"b", 11211}, HostPort{"::1", 3},
                                 HostPort{"fe80::2", 11211}));
}

TEST(StoreUrl, BadOnesAreRefusedWithTheReason) {
  EXPECT_THAT(MessageOf([] { StoreUrl::Parse("bucket"); }), HasSubstr("scheme"));
  EXPECT_THAT(MessageOf([] { StoreUrl::Parse("s3://b?x=1&x=2"); }), HasSubstr("x is given twice"));
  EXPECT_THAT(MessageOf([] { StoreUrl::Parse("s3://b?x=%4"); }), HasSubstr("x=%4"));
  EXPECT_THAT(MessageOf([] { StoreUrl::Parse("s3://b?=1"); }), HasSubstr("=1"));
  for (const char* url : {"m://", "m://a,", "m://,a", "m://a:", "m://a:0", "m://a:65536",
                          "m://a:1x", "m://[::1", "m://[::1]x", "m://[::1]:"}) {
    EXPECT_THAT(MessageOf([&] { StoreUrl::Parse(url).Hosts(1); }), HasSubstr(url));
  }
  const std::array<std::string_view, 2> known = {"region", "endpoint"};
  EXPECT_THAT(MessageOf([&] { StoreUrl::Parse("s3://b?regoin=x").CheckParameters(known); }),
              HasSubstr("no such parameter: regoin; there are region, endpoint"));
}

TEST(StoreUrl, MessagesNeverShowThePassword) {
  for (const char* url :
       {"redis://u:sec%ret@h", "redis://u:secret@h:x", "redis://u:secret@h?a=%",
        "redis://u:secret@?b=1", "redis://u:sec/ret@h:1", "redis://u:sec?ret@h"}) {
    const std::string message = MessageOf([&] { StoreUrl::Parse(url).Hosts(1); });
    EXPECT_THAT(message, Not(HasSubstr("sec"))) << url;
    EXPECT_THAT(message, HasSubstr("u:***@"));
  }
}

TEST(StoreUrl, TravelsWithoutItsPassword) {
  EXPECT_EQ(WithoutPassword("redis://:p@ss@host:1/2?prefix=a"), "redis://host:1/2?prefix=a");
  EXPECT_EQ(WithoutPassword("rediss://user:p%40ss@host/0"), "rediss://user@host/0");
  EXPECT_EQ(StoreUrl::Parse(WithoutPassword("redis://user:pass@host")).user, "user");
  for (const char* url : {"redis://host:1/2", "redis://user@host", "s3://bucket/a:b@c",
                          "/dir/a:b@c", "file:///dir", "", "://"}) {
    EXPECT_EQ(WithoutPassword(url), url);
  }
}

}  // namespace
}  // namespace lambdaml::store
