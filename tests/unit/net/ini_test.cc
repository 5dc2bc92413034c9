#include "lambdaml/net/ini.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::net {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Ini, ReadsSectionsPropertiesCommentsAndNestedProperties) {
  const IniFile file = ParseIni(
      "\xEF\xBB\xBF# a comment\r\n"
      "\n"
      "[default]   ; another\r\n"
      "Region = eu-west-1   # Ireland\n"
      "aws_secret_access_key=a/b+c=#;d==\n"
      "empty =\n"
      "also_empty = # nothing\n"
      "s3 =\n"
      "  addressing_style = path\n"
      "\tmax_queue_size=7\n"
      "  # a comment inside\n"
      "output = json\n"
      "[ profile  x y ]\n"
      "text = one\n"
      "   two\n",
      "f");
  const IniFile expected = {{"default",
                             {{"region", "eu-west-1"},
                              {"aws_secret_access_key", "a/b+c=#;d=="},
                              {"empty", ""},
                              {"also_empty", ""},
                              {"s3", ""},
                              {"s3.addressing_style", "path"},
                              {"s3.max_queue_size", "7"},
                              {"output", "json"}}},
                            {"profile  x y", {{"text", "one\ntwo"}}}};
  EXPECT_EQ(file, expected);
  EXPECT_TRUE(ParseIni("", "f").empty());
  EXPECT_TRUE(ParseIni("\n\n# x", "f").empty());
}

std::string RefusalOf(std::string_view text) {
  try {
    ParseIni(text, "file");
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "";
}

TEST(Ini, RefusesEverythingElseWithFileAndLine) {
  EXPECT_EQ(RefusalOf("\nkey = value\n"), "file:2: this stands before the first [section]");
  EXPECT_EQ(RefusalOf("[a]\n[b"), "file:2: a section's name has no closing ']'");
  EXPECT_EQ(RefusalOf("[a] b"), "file:1: there is text after the section's ']'");
  EXPECT_EQ(RefusalOf("[ ]"), "file:1: the section has no name");
  EXPECT_EQ(RefusalOf("[a]\n[b]\n[a]"), "file:3: section [a] is given twice");
  EXPECT_EQ(RefusalOf("[a]\nx = 1\nX = 2"), "file:3: \"x\" is given twice");
  EXPECT_EQ(RefusalOf("[a]\nx"), "file:2: expected \"name = value\"");
  EXPECT_EQ(RefusalOf("[a]\n = 1"), "file:2: there is no name before the '='");
  EXPECT_EQ(RefusalOf("[a]\nx =\n  y"), "file:3: expected \"name = value\"");
  EXPECT_EQ(RefusalOf(std::string_view("[a]\nx = \0", 9)), "file:2: a NUL byte");
}

TEST(Ini, ShowsNoValueWhenItRefuses) {
  for (const char* const text :
       {"aws_secret_access_key = TOPSECRET", "[a]\nTOPSECRET", "[a]\nx = TOPSECRET\nx = TOPSECRET",
        "[a]\nx =\n  TOPSECRET", "[a] TOPSECRET"}) {
    EXPECT_THAT(RefusalOf(text), Not(HasSubstr("TOPSECRET")));
    EXPECT_NE(RefusalOf(text), "");
  }
}

// Whatever the bytes are: a file, or an Error that names a line of it.
TEST(Ini, NeitherCrashesNorHangsOnAnyText) {
  constexpr uint64_t kSeed = 4711;
  SCOPED_TRACE(kSeed);
  constexpr std::string_view kPieces[] = {"[",  "]",    "=",    "#",       ";",    " ",  "\t",
                                          "\n", "\r\n", "name", "default", "\xff", "\"", "  x = y"};
  base::Random random(kSeed);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = random.Below(2) == 0 ? "[s]\n" : "";
    const uint64_t count = random.Below(12);
    for (uint64_t i = 0; i < count; ++i) text += kPieces[random.Below(std::size(kPieces))];
    try {
      for (const auto& [title, section] : ParseIni(text, "file")) EXPECT_FALSE(title.empty());
      ++accepted;
    } catch (const base::Error& error) {
      EXPECT_THAT(error.message(), testing::StartsWith("file:"));
    }
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_LT(accepted, 19'000);
}

}  // namespace
}  // namespace lambdaml::net
