#include "lambdaml/store/dynamodb_items.h"

#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/json.h"

namespace lambdaml::store {
namespace {

constexpr std::string_view kVersion = "0123456789abcdef";

TEST(DynamoDbItemsTest, AnItemIsKeyValueAndVersion) {
  std::string json;
  AppendItem("key", "job/all/1.0", base::AsBytes("foobar"), kVersion, json);
  EXPECT_EQ(json, R"({"key":{"S":"job/all/1.0"},"value":{"B":"Zm9vYmFy"},)"
                  R"("version":{"S":"0123456789abcdef"}})");
  std::string key;
  AppendKey("key", "job/all/1.0", key);
  EXPECT_EQ(key, R"({"key":{"S":"job/all/1.0"}})");
}

TEST(DynamoDbItemsTest, AnyNameOfAColumnIsEscaped) {
  std::string json;
  AppendItem("a\"b\\\n", "k", {}, kVersion, json);
  EXPECT_EQ(StringAttribute(base::Json::Parse(json, "json"), "a\"b\\\n"), "k");
}

TEST(DynamoDbItemsTest, TheRoomKeptForAnItemIsEnough) {
  for (const size_t size : {0U, 1U, 2U, 3U, 4U, 1000U, 409'000U}) {
    const base::Bytes value(size, std::byte{0xFF});
    const std::string column(10, '\x01');
    std::string json;
    AppendItem(column, "some/key", value, kVersion, json);
    EXPECT_LE(json.size(), ItemJsonSizeMaxBytes(column, "some/key", size));
  }
}

// The Developer Guide's rule: the bytes of all names and values.
TEST(DynamoDbItemsTest, TheSizeOfAnItemIsThatOfItsNamesAndValues) {
  EXPECT_EQ(ItemSizeBytes("key", "abcd", 100), 3 + 4 + 5 + 100 + 7 + 16U);
}

TEST(DynamoDbItemsTest, TheLargestValueWithTheLongestKeyFillsAnItem) {
  for (const std::string column : {"k", "key", "a_long_name_of_a_column"}) {
    EXPECT_EQ(ItemSizeBytes(column, std::string(200, 'k'), ItemValueSizeMaxBytes(column)),
              409'600U);
  }
}

// The Developer Guide's examples: a consistent read of 8 KB takes 2 units, a write of 3 KB 3 units.
TEST(DynamoDbItemsTest, UnitsAreStartedKilobytes) {
  EXPECT_EQ(ReadUnits(0), 1U);
  EXPECT_EQ(ReadUnits(4096), 1U);
  EXPECT_EQ(ReadUnits(4097), 2U);
  EXPECT_EQ(ReadUnits(8192), 2U);
  EXPECT_EQ(WriteUnits(0), 1U);
  EXPECT_EQ(WriteUnits(1024), 1U);
  EXPECT_EQ(WriteUnits(1025), 2U);
  EXPECT_EQ(WriteUnits(3072), 3U);
  EXPECT_EQ(WriteUnits(409'600), 400U);
}

TEST(DynamoDbItemsTest, WhatIsNoStringAttributeIsEmpty) {
  const auto attribute = [](std::string_view text) {
    const base::Json json = base::Json::Parse(text, "json");
    return std::string(StringAttribute(json, "a"));
  };
  EXPECT_EQ(attribute(R"({"a":{"S":"text"}})"), "text");
  EXPECT_EQ(attribute(R"({"a":{"N":"1"}})"), "");
  EXPECT_EQ(attribute(R"({"a":{"S":1}})"), "");
  EXPECT_EQ(attribute(R"({"a":"text"})"), "");
  EXPECT_EQ(attribute(R"({"b":{"S":"text"}})"), "");
  EXPECT_EQ(attribute("[]"), "");
}

}  // namespace
}  // namespace lambdaml::store
