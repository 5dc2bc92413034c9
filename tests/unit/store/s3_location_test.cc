#include "lambdaml/store/s3_location.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using testing::HasSubstr;

S3Location Locate(const std::string& url, const std::map<std::string, std::string>& variables) {
  return LocateS3(StoreUrl::Parse(url), [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string RefusalOf(const std::string& url) {
  try {
    Locate(url, {{"AWS_REGION", "us-east-1"}});
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "no error";
}

TEST(S3Location, AtAmazonTheBucketIsPartOfTheHost) {
  const S3Location location = Locate("s3://bucket/a/b", {{"AWS_REGION", "eu-west-1"}});
  EXPECT_EQ(location.endpoint, "https://bucket.s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(location.path, "/");
  EXPECT_EQ(location.key_prefix, "a/b/");
  EXPECT_EQ(location.bucket, "bucket");
  EXPECT_EQ(location.region, "eu-west-1");
  EXPECT_EQ(location.url, "s3://bucket/a/b");
  EXPECT_FALSE(location.is_custom_endpoint);
  EXPECT_EQ(Locate("s3://bucket?region=cn-north-1", {}).endpoint,
            "https://bucket.s3.cn-north-1.amazonaws.com.cn");
}

TEST(S3Location, ABucketWithDotsIsPartOfThePath) {
  const S3Location location = Locate("s3://my.bucket/", {{"AWS_REGION", "eu-west-1"}});
  EXPECT_EQ(location.endpoint, "https://s3.eu-west-1.amazonaws.com");
  EXPECT_EQ(location.path, "/my.bucket/");
  EXPECT_EQ(location.key_prefix, "");
}

TEST(S3Location, ElsewhereTheBucketIsPartOfThePath) {
  const S3Location location =
      Locate("s3://bucket/p/", {{"AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"}});
  EXPECT_EQ(location.endpoint, "http://127.0.0.1:9000");
  EXPECT_EQ(location.path, "/bucket/");
  EXPECT_EQ(location.key_prefix, "p/");
  EXPECT_TRUE(location.is_custom_endpoint);
  EXPECT_EQ(Locate("s3://bucket?endpoint=http://amazonaws.com.example.org", {}).path, "/bucket/");
}

TEST(S3Location, ParametersGoBeforeTheEnvironment) {
  const S3Location location = Locate(
      "s3://bucket/p?endpoint=https://s3.example.org:8443/below&region=here&addressing=virtual",
      {{"AWS_REGION", "there"}, {"AWS_ENDPOINT_URL", "http://elsewhere"}});
  EXPECT_EQ(location.endpoint, "https://bucket.s3.example.org:8443/below");
  EXPECT_EQ(location.path, "/");
  EXPECT_EQ(location.region, "here");
  EXPECT_EQ(Locate("s3://bucket?addressing=path&region=eu-west-1", {}).path, "/bucket/");
}

TEST(S3Location, WhatIsNoBucketIsRefused) {
  for (const char* name :
       {"", "ab", "Bucket", "my_bucket", "-bucket", "bucket-", "a..b", "b*cket"}) {
    EXPECT_THAT(RefusalOf(std::string("s3://") + name), HasSubstr("no bucket name")) << name;
  }
  EXPECT_THAT(RefusalOf("s3://" + std::string(64, 'b')), HasSubstr("no bucket name"));
  EXPECT_EQ(RefusalOf("s3://" + std::string(63, 'b')), "no error");
  EXPECT_THAT(RefusalOf("s3://localhost:9000/bucket"), HasSubstr("?endpoint=http://host:port"));
  EXPECT_THAT(RefusalOf("s3://data--use1-az4--x-s3/p"), HasSubstr("directory buckets"));
}

TEST(S3Location, CredentialsInTheUrlAreRefusedAndNotShown) {
  const std::string refusal = RefusalOf("s3://AKIAEXAMPLE:topsecret@bucket/p");
  EXPECT_THAT(refusal, HasSubstr("do not belong into the URL"));
  EXPECT_THAT(refusal, testing::Not(HasSubstr("topsecret")));
}

TEST(S3Location, PrefixesThatServersDisagreeAboutAreRefused) {
  for (const char* prefix : {"/", "a//b", "/a", "a/../b", ".", "a/./b", "a\tb", "a\x7F"}) {
    EXPECT_THAT(RefusalOf(std::string("s3://bucket/") + prefix), HasSubstr("the prefix must be"))
        << prefix;
  }
  EXPECT_THAT(RefusalOf("s3://bucket/" + std::string(824, 'p')), HasSubstr("at most 823"));
  EXPECT_EQ(RefusalOf("s3://bucket/" + std::string(823, 'p')), "no error");
  EXPECT_EQ(Locate("s3://bucket/a b=+%41\xC3\xA9/c/", {{"AWS_REGION", "r"}}).key_prefix,
            "a b=+%41\xC3\xA9/c/");
}

TEST(S3Location, ParametersThatAreNoneAreRefused) {
  EXPECT_THAT(RefusalOf("s3://bucket?adressing=path"), HasSubstr("no such parameter: adressing"));
  EXPECT_THAT(RefusalOf("s3://bucket?addressing=host"), HasSubstr("path or virtual"));
  EXPECT_THAT(RefusalOf("s3://bucket?endpoint=nonsense"), HasSubstr("endpoint"));
}

}  // namespace
}  // namespace lambdaml::store
