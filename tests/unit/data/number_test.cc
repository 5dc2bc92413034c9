#include "lambdaml/data/number.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/random.h"

namespace lambdaml::data {
namespace {

// The reference: strtof must take the whole text and give something finite.
void ExpectAsStrtof(const std::string& text) {
  char* end = nullptr;
  const float expected = std::strtof(text.c_str(), &end);
  const auto parsed = ParseFloat(text);
  if (*end != '\0' || !std::isfinite(expected)) {
    ASSERT_FALSE(parsed.has_value()) << text;
    return;
  }
  ASSERT_TRUE(parsed.has_value()) << text;
  ASSERT_EQ(std::bit_cast<uint32_t>(*parsed), std::bit_cast<uint32_t>(expected)) << text;
}

void ExpectAsStrtod(const std::string& text) {
  char* end = nullptr;
  const double expected = std::strtod(text.c_str(), &end);
  const auto parsed = ParseDouble(text);
  if (*end != '\0' || !std::isfinite(expected)) {
    ASSERT_FALSE(parsed.has_value()) << text;
    return;
  }
  ASSERT_TRUE(parsed.has_value()) << text;
  ASSERT_EQ(std::bit_cast<uint64_t>(*parsed), std::bit_cast<uint64_t>(expected)) << text;
}

std::string Digits(base::Random& random, uint64_t count) {
  std::string digits;
  for (uint64_t i = 0; i < count; ++i) digits += static_cast<char>('0' + random.Below(10));
  return digits;
}

// Any spelling of the grammar, short ones more often.
std::string RandomSpelling(base::Random& random) {
  const uint64_t digit_count_max = random.Below(8) == 0 ? 40 : 12;
  std::string text;
  const uint64_t sign = random.Below(4);
  if (sign < 2) text += "+-"[sign];
  std::string whole = Digits(random, random.Below(digit_count_max / 2));
  std::string fraction = Digits(random, random.Below(digit_count_max));
  if (random.Below(6) == 0) fraction = std::string(random.Below(12), '0') + fraction;
  if (whole.empty() && fraction.empty()) whole += '0';
  text += whole;
  if (!fraction.empty() || random.Below(8) == 0) text += '.';
  text += fraction;
  if (random.Below(4) == 0) {
    text += "eE"[random.Below(2)];
    const uint64_t exponent_sign = random.Below(3);
    if (exponent_sign < 2) text += "+-"[exponent_sign];
    text += std::to_string(random.Below(random.Below(4) == 0 ? 400 : 48));
  }
  return text;
}

TEST(Number, RandomSpellingsGiveWhatStrtofGives) {
  base::Random random(1);
  for (int i = 0; i < 3'000'000; ++i)
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtof(RandomSpelling(random)));
}

TEST(Number, RandomSpellingsGiveWhatStrtodGives) {
  base::Random random(2);
  for (int i = 0; i < 1'000'000; ++i)
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtod(RandomSpelling(random)));
}

// The numbers where rounding twice would go wrong: exactly between two floats, and next to it.
TEST(Number, MidpointsBetweenFloatsAndTheirNeighboursRoundAsInStrtof) {
  base::Random random(3);
  char text[128];
  for (int i = 0; i < 1'000'000; ++i) {
    const auto bits = static_cast<uint32_t>(random.Next());
    const float value = std::bit_cast<float>(bits);
    if (!std::isfinite(value) || std::abs(value) > 1e38F) continue;
    const double middle =
        0.5 * (static_cast<double>(value) + static_cast<double>(std::nextafterf(value, INFINITY)));
    const int precision = static_cast<int>(random.Below(22));
    std::snprintf(text, sizeof text, "%.*e", precision, middle);
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtof(text));
    const double beside = std::nextafter(middle, random.Below(2) == 0 ? -INFINITY : INFINITY);
    std::snprintf(text, sizeof text, "%.*e", 17, beside);
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtof(text));
    const float small = std::ldexp(value, -static_cast<int>(std::ilogb(value)));
    const double small_middle =
        0.5 * (static_cast<double>(small) + static_cast<double>(std::nextafterf(small, INFINITY)));
    std::snprintf(text, sizeof text, "%.*f", 24, small_middle);
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtof(text));
  }
}

TEST(Number, EveryShortDecimalGivesWhatStrtofGives) {
  char text[32];
  for (int thousandths = -30000; thousandths <= 30000; ++thousandths) {
    std::snprintf(text, sizeof text, "%.3f", thousandths / 1000.0);
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtof(text));
    ASSERT_NO_FATAL_FAILURE(ExpectAsStrtod(text));
  }
}

TEST(Number, EdgesOfTheRangeGiveWhatStrtofGives) {
  for (const char* text : {"0",
                           "-0",
                           "+0.0",
                           "0e99999999999999999999",
                           "1e-99999999999999999999",
                           "-1e-400",
                           "1e400",
                           "3.4028234663852886e38",
                           "3.40282356779733e38",
                           "3.4028235677973366e38",
                           "3.4028235677973367e38",
                           "3.4028236e38",
                           "1.17549435e-38",
                           "1.1754943e-38",
                           "1e-45",
                           "7.006492321624085e-46",
                           "7.006492321624086e-46",
                           "7e-46",
                           "16777217",
                           "16777219",
                           "9007199791611905",
                           "99999999999999999999999999999999999999",
                           "340282346638528859811704183484516925440",
                           "0.00000000000000000000000000000000000000000000014",
                           "1.",
                           ".5",
                           "-.5e1",
                           "18446744073709551615",
                           "18446744073709551616",
                           "9999999999999999999",
                           "8.692932128906250000e-01",
                           "1e22",
                           "1e23",
                           "9007199254740993",
                           "1.7976931348623157e308",
                           "1.7976931348623159e308",
                           "5e-324",
                           "2e-324",
                           "00000000000000000000000000000000000001.5",
                           "0.000000000000000000000000000000000000001e39"}) {
    ExpectAsStrtof(text);
    ExpectAsStrtod(text);
  }
}

TEST(Number, WhatIsNotOfTheGrammarIsRefused) {
  for (const char* text : {"",    "+",   "-",   ".",    "+.",       "e5",    "1e",    "1e+",
                           ".e1", "nan", "inf", "-inf", "infinity", "0x10",  "1.2.3", "1,5",
                           " 1",  "1 ",  "--1", "+-1",  "1f",       "1e5.0", "NaN",   "1_000"}) {
    EXPECT_FALSE(ParseFloat(text).has_value()) << text;
    EXPECT_FALSE(ParseDouble(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace lambdaml::data
