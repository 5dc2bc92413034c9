#include "lambdaml/base/json.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::base {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

// The message of the error with which parsing `text` ends.
std::string ParseError(std::string_view text) {
  try {
    Json::Parse(text, "job.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidData);
    return error.message();
  }
  return "accepted";
}

std::string Reprinted(std::string_view text) { return Json::Parse(text, "test").Dump(); }

TEST(JsonTest, ParsesEveryKindOfValue) {
  const Json json = Json::Parse(
      R"( {"null":null,"yes":true,"no":false,"int":-12,"real":2.5e-3,"text":"a\u00e9\n",
           "list":[1,[],{}],"object":{"k":"v"}} )",
      "test");
  EXPECT_TRUE(json.At("null").is_null());
  EXPECT_TRUE(json.At("yes").AsBool());
  EXPECT_FALSE(json.At("no").AsBool());
  EXPECT_EQ(json.At("int").AsInteger(), -12);
  EXPECT_EQ(json.At("real").AsNumber(), 0.0025);
  EXPECT_EQ(json.At("text").AsString(), "a\xc3\xa9\n");
  EXPECT_EQ(json.At("list").AsArray().size(), 3U);
  EXPECT_EQ(json.At("object").At("k").AsString(), "v");
  EXPECT_EQ(json.Find("none"), nullptr);
}

TEST(JsonTest, KeepsTheOrderOfMembers) {
  EXPECT_EQ(Reprinted(R"({"z":1, "a":2, "m":{"y":3,"b":4}})"),
            R"({"z":1,"a":2,"m":{"y":3,"b":4}})");
}

TEST(JsonTest, RefusesWhatIsNotOneJsonText) {
  for (const std::string_view text :
       {"",          " ",           "{",        "[1,]",        "{\"a\":}", "{\"a\" 1}", "{a:1}",
        "'a'",       "01",          "+1",       "1.",          ".5",       "0x1",       "NaN",
        "Infinity",  "tru",         "\"",       "\"\\x\"",     "\"\n\"",   "1 2",       "{} x",
        "[1] // no", "\"\\ud800\"", "\"\xff\"", "\"\xc0\x80\""}) {
    EXPECT_THAT(ParseError(text), EndsWith(": not valid JSON")) << text;
  }
  using namespace std::string_view_literals;
  EXPECT_EQ(ParseError("[1,\0]"sv), "job.json:1:4: not valid JSON");
  EXPECT_EQ(ParseError("1\0 and more"sv), "job.json:1:2: not valid JSON");
}

TEST(JsonTest, NamesLineAndColumnOfAnError) {
  EXPECT_EQ(ParseError("{\"a\": 1,\n \"b\": x}"), "job.json:2:7: not valid JSON");
  EXPECT_EQ(ParseError("\n\n]"), "job.json:3:1: not valid JSON");
  EXPECT_EQ(ParseError(""), "job.json:1:1: not valid JSON");
}

TEST(JsonTest, RefusesAKeyThatStandsTwice) {
  EXPECT_EQ(ParseError("{\"lr\":1,\n\"lr\":2}"), "job.json:2:4: key \"lr\" twice");
  EXPECT_EQ(ParseError(R"({"a":{"b":1,"c":{},"b":2}})"), "job.json:1:22: key \"b\" twice");
  EXPECT_EQ(ParseError(R"([{"a":1},{"a":2}])"), "accepted");
}

TEST(JsonTest, ManyKeysAreReadInReasonableTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"key" + std::to_string(i) + "\":0,";
  text.back() = '}';
  EXPECT_EQ(Json::Parse(text, "test").AsObject().size(), 200'000U);
}

TEST(JsonTest, RefusesNestingBeyondItsLimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(ParseError(nested(64)), "accepted");
  EXPECT_EQ(ParseError(nested(65)), "job.json:1:65: nested more than 64 deep");
  EXPECT_THAT(ParseError(std::string(1'000'000, '[')), HasSubstr("nested more than 64 deep"));
}

TEST(JsonTest, IntegersAreExactOverTheirWholeRange) {
  EXPECT_EQ(Json::Parse("9223372036854775807", "t").AsInteger(),
            std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Json::Parse("-9223372036854775808", "t").AsInteger(),
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(Reprinted("9007199254740993"), "9007199254740993");
}

TEST(JsonTest, LargerWholeNumbersBecomeDoubles) {
  const Json json = Json::Parse("18446744073709551615", "t");
  EXPECT_FALSE(json.is_integer());
  EXPECT_EQ(json.AsNumber(), 0x1.0p64);
  EXPECT_EQ(Json(std::numeric_limits<uint64_t>::max()).AsNumber(), 0x1.0p64);
  EXPECT_EQ(Json(uint64_t{7}).AsInteger(), 7);
}

TEST(JsonTest, NumbersTooLargeForADoubleAreRefused) {
  EXPECT_EQ(ParseError("[1e308, 1e309]"), "job.json:1:14: number is out of range");
  EXPECT_EQ(Json::Parse("1e-400", "t").AsNumber(), 0);
}

TEST(JsonTest, AWholeDoubleIsAnIntegerToo) {
  EXPECT_EQ(Json::Parse("1e3", "t").AsInteger(), 1000);
  EXPECT_THROW(Json::Parse("1.5", "t").AsInteger(), Error);
  EXPECT_THROW(Json::Parse("1e300", "t").AsInteger(), Error);
}

TEST(JsonTest, DoublesReadBackBitForBit) {
  Random random(20);
  for (int i = 0; i < 20'000; ++i) {
    const double value = std::bit_cast<double>(random.Next());
    if (!std::isfinite(value)) continue;
    const double again = Json::Parse(Json(value).Dump(), "t").AsNumber();
    ASSERT_EQ(std::bit_cast<uint64_t>(again), std::bit_cast<uint64_t>(value)) << Json(value).Dump();
  }
  EXPECT_TRUE(std::signbit(Json::Parse(Json(-0.0).Dump(), "t").AsNumber()));
}

TEST(JsonTest, WhatJsonCannotSayIsNull) {
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).Dump(), "null");
  EXPECT_EQ(Json(std::nan("")).Dump(), "null");
}

TEST(JsonTest, StringsAreEscapedAndMendedToUtf8) {
  EXPECT_EQ(Json("a\"\\\n\x01/\xc3\xa9").Dump(), "\"a\\\"\\\\\\n\\u0001/\xc3\xa9\"");
  EXPECT_EQ(Json("a\xff").Dump(), "\"a\xef\xbf\xbd\"");
  EXPECT_EQ(Json(std::string("a\0b", 3)).Dump(), "\"a\\u0000b\"");
}

TEST(JsonTest, ARandomTreeReadsBackTheSame) {
  Random random(3);
  const auto grow = [&](const auto& self, int depth) -> Json {
    switch (random.Below(depth == 0 ? 4 : 6)) {
      case 0:
        return {};
      case 1:
        return random.Below(2) == 1;
      case 2:
        return static_cast<int64_t>(random.Next());
      case 3:
        return Json(std::to_string(random.Next()) + "\t\"");
      case 4: {
        Json array = Json::EmptyArray();
        for (uint64_t i = random.Below(4); i > 0; --i) array.Append(self(self, depth - 1));
        return array;
      }
      default: {
        Json object = Json::EmptyObject();
        for (uint64_t i = random.Below(4); i > 0; --i) {
          object.Set(std::to_string(random.Below(10)), self(self, depth - 1));
        }
        return object;
      }
    }
  };
  for (int i = 0; i < 300; ++i) {
    const Json tree = grow(grow, 5);
    EXPECT_EQ(Reprinted(tree.Dump()), tree.Dump());
    EXPECT_EQ(Reprinted(tree.DumpPretty()), tree.Dump());
  }
}

TEST(JsonTest, PrettyTextIsIndentedByTwo) {
  Json json;
  json.Set("a", 1);
  json.Set("b", Json::EmptyArray());
  Json list;
  list.Append("x");
  list.Append(Json::EmptyObject());
  json.Set("c", list);
  EXPECT_EQ(json.DumpPretty(),
            "{\n  \"a\": 1,\n  \"b\": [],\n  \"c\": [\n    \"x\",\n    {}\n  ]\n}\n");
}

TEST(JsonTest, SetReplacesInPlace) {
  Json json = Json::Parse(R"({"a":1,"b":2})", "t");
  json.Set("a", "new");
  json.Set("c", nullptr == json.Find("c"));
  EXPECT_EQ(json.Dump(), R"({"a":"new","b":2,"c":true})");
}

TEST(JsonTest, AValueOfAnotherTypeIsAnError) {
  const Json text("x");
  EXPECT_THROW(text.AsBool(), Error);
  EXPECT_THROW(text.AsInteger(), Error);
  EXPECT_THROW(text.AsNumber(), Error);
  EXPECT_THROW(text.AsArray(), Error);
  EXPECT_THROW(text.AsObject(), Error);
  EXPECT_THROW(text.Find("k"), Error);
  EXPECT_THROW(Json(1).AsString(), Error);
  EXPECT_THROW(Json(1).Set("k", 1), Error);
  EXPECT_THROW(Json(1).Append(1), Error);
}

TEST(JsonTest, AMissingMemberIsNamed) {
  try {
    Json::EmptyObject().At("n_workers");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidData);
    EXPECT_THAT(error.message(), HasSubstr("\"n_workers\""));
  }
}

}  // namespace
}  // namespace lambdaml::base
