#include "lambdaml/store/dynamodb_json.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/base64.h"

namespace lambdaml::store {
namespace {

using testing::HasSubstr;

DynamoDbJson Parse(const std::string& text) {
  return DynamoDbJson(base::Blob::Copy(base::AsBytes(text)), "get k");
}

base::Bytes RandomBytes(size_t size) {
  base::Bytes bytes(size);
  base::Random random(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Next() & 0xFF);
  return bytes;
}

std::string Binary(const base::Bytes& bytes) {
  return R"({"B":")" + net::Base64Encode(bytes) + R"("})";
}

TEST(DynamoDbJsonTest, ShortAndLongBinariesComeBack) {
  const std::vector<size_t> sizes = {0, 1, 3000, 3069, 3072, 3075, 400'000, 2, 5000};
  std::string text = R"({"Items":[)";
  for (const size_t size : sizes) text += Binary(RandomBytes(size)) + ",";
  text.back() = ']';
  const DynamoDbJson json = Parse(text + R"(,"after":{"S":"x"}})");
  const auto& items = json.root().At("Items").AsArray();
  ASSERT_EQ(items.size(), sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_TRUE(std::ranges::equal(json.Binary(items[i]).span(), RandomBytes(sizes[i]))) << i;
  }
  EXPECT_EQ(json.root().At("after").At("S").AsString(), "x");
}

TEST(DynamoDbJsonTest, BinariesThatAreEscapedComeBack) {
  for (const size_t size : {300U, 30'000U}) {
    const base::Bytes bytes = RandomBytes(size);
    std::string escaped;
    for (const char c : net::Base64Encode(bytes)) escaped += c == '/' ? "\\/" : std::string(1, c);
    const DynamoDbJson json = Parse(R"({"a":{"B":")" + escaped + R"("},"q":"\"{[\\"})");
    EXPECT_TRUE(std::ranges::equal(json.Binary(json.root().At("a")).span(), bytes));
    EXPECT_EQ(json.root().At("q").AsString(), "\"{[\\");
  }
}

TEST(DynamoDbJsonTest, WhatLooksLikeThePlaceOfALongStringIsNoBinary) {
  const DynamoDbJson json = Parse(R"({"a":{"B":"@0"},"b":{"B":"@1"},"c":{"B":"@"},"d":)" +
                                  Binary(RandomBytes(9000)) + "}");
  EXPECT_EQ(json.Binary(json.root().At("d")).size(), 9000U);
  EXPECT_THROW(json.Binary(json.root().At("b")), base::Error);
  EXPECT_THROW(json.Binary(json.root().At("c")), base::Error);
}

TEST(DynamoDbJsonTest, WhatIsNoBinaryIsCorrupt) {
  for (const char* text : {R"({"S":"AAAA"})", R"({"B":7})", R"({"B":"A"})", R"({"B":"????"})",
                           R"("AAAA")", "7", "null"}) {
    const DynamoDbJson json = Parse(std::string(R"({"a":)") + text + "}");
    try {
      json.Binary(json.root().At("a"));
      FAIL() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kCorrupt);
      EXPECT_THAT(error.message(), HasSubstr("get k: the item has no binary value"));
    }
  }
}

TEST(DynamoDbJsonTest, AnAnswerThatIsNoJsonObjectIsNoDynamoDb) {
  const std::string cut = R"({"Item":{"B":")" + std::string(10'000, 'A');
  for (const std::string text : {"", "<html>", "[]", "7", "{", cut.c_str()}) {
    try {
      Parse(text);
      FAIL() << text;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kUnavailable);
      EXPECT_THAT(error.message(), HasSubstr("get k: what answers there is no DynamoDB"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::store
