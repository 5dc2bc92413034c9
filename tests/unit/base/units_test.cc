#include "lambdaml/base/units.h"

#include <cstdint>
#include <gtest/gtest.h>
#include <limits>

namespace lambdaml::base {
namespace {

TEST(UnitsTest, BytesAreInPowersOfAThousand) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1000), "1.0 KB");
  EXPECT_EQ(FormatBytes(1536), "1.5 KB");
  EXPECT_EQ(FormatBytes(12'000'000), "12.0 MB");
  EXPECT_EQ(FormatBytes(999'949), "999.9 KB");
  EXPECT_EQ(FormatBytes(999'950), "1.0 MB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<uint64_t>::max()), "18446.7 PB");
}

TEST(UnitsTest, CountsAreGroupedByThree) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1000), "1,000");
  EXPECT_EQ(FormatCount(1'234'567), "1,234,567");
  EXPECT_EQ(FormatCount(std::numeric_limits<uint64_t>::max()), "18,446,744,073,709,551,615");
}

TEST(UnitsTest, SecondsTakeTheUnitThatSuits) {
  EXPECT_EQ(FormatSeconds(0), "0.0 ms");
  EXPECT_EQ(FormatSeconds(0.0004), "0.4 ms");
  EXPECT_EQ(FormatSeconds(0.012), "12 ms");
  EXPECT_EQ(FormatSeconds(0.9994), "999 ms");
  EXPECT_EQ(FormatSeconds(0.9996), "1.00 s");
  EXPECT_EQ(FormatSeconds(1.24), "1.24 s");
  EXPECT_EQ(FormatSeconds(59.99), "59.99 s");
  EXPECT_EQ(FormatSeconds(59.996), "1 min 00 s");
  EXPECT_EQ(FormatSeconds(185.2), "3 min 05 s");
  EXPECT_EQ(FormatSeconds(3599.6), "1 h 00 min");
  EXPECT_EQ(FormatSeconds(7384), "2 h 03 min");
}

TEST(UnitsTest, DollarsShowCentsOrFourDigits) {
  EXPECT_EQ(FormatDollars(0), "$0");
  EXPECT_EQ(FormatDollars(0.000012), "$0.000012");
  EXPECT_EQ(FormatDollars(0.00001234567), "$0.00001235");
  EXPECT_EQ(FormatDollars(0.5), "$0.50");
  EXPECT_EQ(FormatDollars(0.12345), "$0.1235");
  EXPECT_EQ(FormatDollars(0.99999), "$1.00");
  EXPECT_EQ(FormatDollars(1.2), "$1.20");
  EXPECT_EQ(FormatDollars(1234.567), "$1234.57");
}

}  // namespace
}  // namespace lambdaml::base
