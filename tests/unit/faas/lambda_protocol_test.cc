#include "lambdaml/faas/lambda_protocol.h"

#include <gtest/gtest.h>
#include <set>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

TEST(LambdaProtocolTest, Base64MatchesTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(EncodeBase64(bytes), text);
    EXPECT_EQ(DecodeBase64(text), bytes);
  }
}

TEST(LambdaProtocolTest, Base64KeepsEveryByte) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  EXPECT_EQ(DecodeBase64(EncodeBase64(bytes)), bytes);
}

TEST(LambdaProtocolTest, MalformedBase64IsRefused) {
  for (const char* text : {"Z", "Zg=", "Zg==Zg==", "Z===", "====", "Zm9*", "Zm 9"}) {
    EXPECT_THROW(DecodeBase64(text), base::Error) << text;
  }
}

TEST(LambdaProtocolTest, RequestIdsDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(NewRequestId());
  EXPECT_EQ(ids.size(), 1000U);
}

TEST(LambdaProtocolTest, AFunctionErrorIsOneJsonObject) {
  EXPECT_EQ(FunctionErrorBody("T", "a \"b\"\n"), R"({"errorType":"T","errorMessage":"a \"b\"\n"})");
  EXPECT_EQ(FunctionErrorBody("T", "m", true),
            R"({"errorType":"T","errorMessage":"m","stackTrace":[]})");
}

}  // namespace
}  // namespace lambdaml::faas
