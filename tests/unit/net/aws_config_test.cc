#include "lambdaml/net/aws_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/net/aws_profile.h"

#include "unit/net/aws_settings.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;
using testing::HasSubstr;

AwsConfig Resolve(const AwsSettings& settings, AwsConfigOptions options = {},
                  std::string_view service = "s3") {
  options.environment = settings.environment();
  return ResolveAwsConfig(service, options);
}

std::string RefusalOf(const AwsSettings& settings, const AwsConfigOptions& options = {}) {
  try {
    Resolve(settings, options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "";
}

AwsConfigOptions WithRegion(const std::string& region) {
  AwsConfigOptions options;
  options.region = region;
  return options;
}

AwsConfigOptions WithEndpoint(const std::string& endpoint) {
  AwsConfigOptions options;
  options.endpoint = endpoint;
  return options;
}

TEST(AwsConfig, TakesTheRegionFromOptionThenEnvironmentThenProfile) {
  AwsSettings settings;
  EXPECT_THAT(RefusalOf(settings), HasSubstr("set AWS_REGION"));
  settings.Write("config", "[default]\nregion = r-file\n");
  EXPECT_EQ(Resolve(settings).region, "r-file");
  settings.Set("AWS_DEFAULT_REGION", "r-default");
  EXPECT_EQ(Resolve(settings).region, "r-default");
  settings.Set("AWS_REGION", "r-env");
  EXPECT_EQ(Resolve(settings).region, "r-env");
  EXPECT_EQ(Resolve(settings, WithRegion("r-option")).region, "r-option");
}

TEST(AwsConfig, KnowsAwsOwnEndpoints) {
  const AwsSettings settings;
  const AwsConfig config = Resolve(settings, WithRegion("eu-west-1"), "dynamodb");
  EXPECT_EQ(config.endpoint, "https://dynamodb.eu-west-1.amazonaws.com");
  EXPECT_FALSE(config.is_custom_endpoint);
  EXPECT_EQ(Resolve(settings, WithRegion("cn-north-1")).endpoint,
            "https://s3.cn-north-1.amazonaws.com.cn");
}

TEST(AwsConfig, TakesTheEndpointFromOptionThenEnvironmentThenProfile) {
  AwsSettings settings;
  settings.Write("config",
                 "[default]\nendpoint_url = http://file:1/\n"
                 "[profile own]\nendpoint_url = http://own:2\nservices = svc\n"
                 "[services svc]\ns3 =\n  endpoint_url = http://own-s3:3\n");
  AwsConfigOptions own;
  own.profile = "own";
  EXPECT_EQ(Resolve(settings).endpoint, "http://file:1");
  EXPECT_EQ(Resolve(settings, own).endpoint, "http://own-s3:3");
  EXPECT_EQ(Resolve(settings, own, "dynamodb").endpoint, "http://own:2");
  settings.Set("AWS_ENDPOINT_URL", "http://env:4");
  EXPECT_EQ(Resolve(settings, own).endpoint, "http://env:4");
  settings.Set("AWS_ENDPOINT_URL_S3", "https://env-s3/base//");
  EXPECT_EQ(Resolve(settings).endpoint, "https://env-s3/base");
  EXPECT_EQ(Resolve(settings, {}, "dynamodb").endpoint, "http://env:4");
  EXPECT_EQ(Resolve(settings, WithEndpoint("http://option:5")).endpoint, "http://option:5");
  settings.Set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
  EXPECT_EQ(Resolve(settings, WithRegion("r")).endpoint, "https://s3.r.amazonaws.com");
}

TEST(AwsConfig, NeedsNoRegionForACustomEndpoint) {
  const AwsSettings settings;
  const AwsConfig config = Resolve(settings, WithEndpoint("http://127.0.0.1:9000"));
  EXPECT_EQ(config.region, "us-east-1");
  EXPECT_TRUE(config.is_custom_endpoint);
}

TEST(AwsConfig, RefusesWhatIsNoRegionOrEndpointAndSaysWhereItStands) {
  AwsSettings settings;
  settings.Set("AWS_REGION", "eu-west-1.evil.example/");
  EXPECT_THAT(RefusalOf(settings), HasSubstr("AWS_REGION"));
  settings.Set("AWS_REGION", "eu-west-1");
  for (const char* const endpoint : {"localhost:9000", "ftp://h", "http://", "http://h?x=1",
                                     "http://user:secret@h", "http://h:0", "http://h h"}) {
    settings.Set("AWS_ENDPOINT_URL", endpoint);
    EXPECT_THAT(RefusalOf(settings), HasSubstr("AWS_ENDPOINT_URL")) << endpoint;
    EXPECT_THAT(RefusalOf(settings), testing::Not(HasSubstr("secret")));
  }
}

TEST(AwsProfile, JoinsBothFilesAndLetsTheCredentialsFileGoFirst) {
  AwsSettings settings;
  settings.Write("config", "[profile \"a b\"]\nregion = r\noutput = json\n[profile c]\nx = 1\n");
  settings.Write("credentials", "[a b]\nregion = other\naws_access_key_id = K\n");
  const AwsProfile profile = LoadAwsProfile("a b", settings.environment());
  EXPECT_TRUE(profile.exists);
  EXPECT_EQ(profile.Find("region"), "other");
  EXPECT_EQ(profile.Find("output"), "json");
  EXPECT_EQ(profile.Find("aws_access_key_id"), "K");
  EXPECT_EQ(profile.Find("missing"), std::nullopt);
  settings.Set("AWS_PROFILE", "c");
  EXPECT_EQ(LoadAwsProfile({}, settings.environment()).Find("x"), "1");
}

TEST(AwsProfile, ReadsTheFilesThatTheEnvironmentNames) {
  AwsSettings settings;
  settings.Write("other-config", "[default]\nregion = r\n");
  settings.Write("other-credentials", "[default]\naws_access_key_id = K\n");
  settings.Set("AWS_CONFIG_FILE", "~/.aws/other-config");
  settings.Set("AWS_SHARED_CREDENTIALS_FILE", settings.PathOf("other-credentials"));
  const AwsProfile profile = LoadAwsProfile({}, settings.environment());
  EXPECT_EQ(profile.Find("region"), "r");
  EXPECT_EQ(profile.Find("aws_access_key_id"), "K");
}

TEST(AwsProfile, RefusesAProfileThatIsNotThereOnlyIfItIsAskedFor) {
  AwsSettings settings;
  EXPECT_FALSE(LoadAwsProfile({}, settings.environment()).exists);
  settings.Write("config", "[nobody]\nregion = r\n");  // not [profile nobody]
  settings.Set("AWS_PROFILE", "nobody");
  try {
    LoadAwsProfile({}, settings.environment());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), HasSubstr("AWS profile \"nobody\""));
    EXPECT_THAT(error.message(), HasSubstr(settings.PathOf("config")));
  }
}

TEST(AwsProfile, RefusesFilesThatAreMalformedOrHuge) {
  AwsSettings settings;
  settings.Write("config", "[default\n");
  EXPECT_THAT(RefusalOf(settings), HasSubstr(settings.PathOf("config") + ":1:"));
  settings.Write("config", "[default]\n" + std::string(2'000'000, '#'));
  EXPECT_THAT(RefusalOf(settings), HasSubstr("larger than"));
  settings.Write("config", "[default]\nservices = s\n");
  EXPECT_THAT(RefusalOf(settings), HasSubstr("[services s]"));
}

}  // namespace
}  // namespace lambdaml::net
