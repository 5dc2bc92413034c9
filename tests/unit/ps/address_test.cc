#include "lambdaml/ps/address.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

ServerAddress AddressOf(std::string_view url) {
  return AddressFromUrl(url, [](const std::string&) { return std::nullopt; });
}

std::string ErrorOf(std::string_view url) {
  try {
    AddressOf(url);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "no error";
}

TEST(AddressTest, HasHostPortAndWhatTlsNeeds) {
  EXPECT_EQ(AddressOf("ps://10.0.0.7").host, "10.0.0.7");
  EXPECT_EQ(AddressOf("ps://10.0.0.7").port, 27000);
  EXPECT_FALSE(AddressOf("ps://10.0.0.7").use_tls);
  EXPECT_EQ(AddressOf("ps://server:123/").port, 123);
  EXPECT_EQ(AddressOf("server:123").host, "server");
  EXPECT_EQ(AddressOf("ps://[::1]:5").host, "::1");
  EXPECT_EQ(AddressOf("ps://[::1]:5").port, 5);
  EXPECT_EQ(AddressOf("ps://[::1]").port, 27000);
  const ServerAddress tls = AddressOf("pss://h:1?ca=/a.pem&cert=/b.pem&key=/c.pem");
  EXPECT_TRUE(tls.use_tls);
  EXPECT_EQ(tls.ca_file, "/a.pem");
  EXPECT_EQ(tls.cert_file, "/b.pem");
  EXPECT_EQ(tls.key_file, "/c.pem");
  EXPECT_TRUE(IsPsUrl("pss://h"));
  EXPECT_FALSE(IsPsUrl("s3://h"));
}

TEST(AddressTest, TheTokenComesFromTheEnvironment) {
  const auto environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "LAMBDAML_PS_TOKEN") return "secret";
    return std::nullopt;
  };
  EXPECT_EQ(AddressFromUrl("ps://h", environment).token, "secret");
}

TEST(AddressTest, WhatIsNoAddressIsRefused) {
  for (const char* url : {"ps://", "ps://:5", "ps://h:", "ps://h:0", "ps://h:65536", "ps://h:1x",
                          "ps://h:-1", "ps://h/path", "ps://[::1]5", "ps://h?ca=x",
                          "pss://h?ca=", "pss://h?other=x", "pss://h?key=/k", "ps://a b"}) {
    EXPECT_THAT(ErrorOf(url), HasSubstr(url)) << url;
  }
  EXPECT_THAT(ErrorOf("ps://user:secret@h"), HasSubstr("LAMBDAML_PS_TOKEN"));
  EXPECT_THAT(ErrorOf("ps://user:secret@h"), Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace lambdaml::ps
