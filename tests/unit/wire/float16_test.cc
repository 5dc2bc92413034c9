#include "lambdaml/wire/float16.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

using testing::HasSubstr;

constexpr uint32_t kHalfCount = 65'536;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<uint16_t> AllHalves() {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits < kHalfCount; ++bits) halves.push_back(static_cast<uint16_t>(bits));
  return halves;
}

// The value of a finite float16 by IEEE 754's definition.
double ValueOf(uint32_t half) {
  const int exponent = static_cast<int>(half >> 10 & 0x1F);
  const double fraction = half & 0x3FF;
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (half & 0x8000) != 0 ? -size : size;
}

std::vector<float> Widen(const Float16Converter& by, const std::vector<uint16_t>& halves) {
  std::vector<float> values(halves.size());
  by.widen(halves, values);
  return values;
}

std::vector<uint16_t> Narrow(const Float16Converter& by, const std::vector<float>& values) {
  std::vector<uint16_t> halves(values.size());
  by.narrow(values, halves);
  return halves;
}

std::vector<uint32_t> BitsOf(const std::vector<float>& values) {
  std::vector<uint32_t> bits;
  for (const float value : values) bits.push_back(std::bit_cast<uint32_t>(value));
  return bits;
}

float Rounded(float value) { return Widened(Narrow(PortableFloat16(), {value}).front()); }

TEST(Float16, EveryNumberHasItsValueByDefinition) {
  for (const Float16Converter* by : {&Float16(), &PortableFloat16()}) {
    const std::vector<float> values = Widen(*by, AllHalves());
    for (uint32_t half = 0; half < kHalfCount; ++half) {
      const float value = values[half];
      ASSERT_EQ(std::signbit(value), (half & 0x8000) != 0) << half;
      if ((half & 0x7C00) != 0x7C00) {
        ASSERT_EQ(static_cast<double>(value), ValueOf(half)) << half;
      } else if ((half & 0x3FF) == 0) {
        ASSERT_EQ(std::abs(value), kInfinity);
      } else {
        ASSERT_TRUE(std::isnan(value)) << half;
      }
    }
  }
}

TEST(Float16, ThePortableWayGivesTheProcessorsBitsForEveryHalf) {
  const std::vector<uint16_t> halves = AllHalves();
  const std::vector<float> values = Widen(Float16(), halves);
  EXPECT_EQ(BitsOf(values), BitsOf(Widen(PortableFloat16(), halves)));
  const std::vector<uint16_t> back = Narrow(Float16(), values);
  EXPECT_EQ(back, Narrow(PortableFloat16(), values));
  for (uint32_t half = 0; half < kHalfCount; ++half) {
    const bool is_signalling =
        (half & 0x7C00) == 0x7C00 && (half & 0x3FF) != 0 && (half & 0x200) == 0;
    EXPECT_EQ(back[half], is_signalling ? half | 0x200 : half);
  }
}

// Every number of the format, the points half way to the next, and the floats beside both; and
// floats of all sizes between.
TEST(Float16, ThePortableWayRoundsAsTheProcessorDoes) {
  std::vector<float> values;
  const std::vector<float> halves = Widen(PortableFloat16(), AllHalves());
  for (uint32_t half = 0; half + 1 < kHalfCount; ++half) {
    const float middle = (halves[half] + halves[half + 1]) / 2;
    for (const float value : {halves[half], middle}) {
      values.push_back(std::nextafter(value, -kInfinity));
      values.push_back(value);
      values.push_back(std::nextafter(value, kInfinity));
    }
  }
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 4093) {
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  EXPECT_EQ(Narrow(PortableFloat16(), values), Narrow(Float16(), values));
}

TEST(Float16, GoesToTheNearestAndHalfWayToTheEven) {
  EXPECT_EQ(Rounded(1.0F + 0x1p-11F), 1.0F);              // half way, down to even
  EXPECT_EQ(Rounded(1.0F + 0x1.8p-10F), 1.0F + 0x1p-9F);  // half way, up to even
  EXPECT_EQ(Rounded(0x1.002002p0F), 1.0F + 0x1p-10F);     // just above half way
  EXPECT_EQ(Rounded(2049.0F), 2048.0F);
  EXPECT_EQ(Rounded(2051.0F), 2052.0F);
  EXPECT_EQ(Rounded(65'519.0F), 65'504.0F);
  EXPECT_EQ(Rounded(65'520.0F), kInfinity);
  EXPECT_EQ(Rounded(0x1.ffcp-15F), 0x1p-14F);     // subnormal, up to even
  EXPECT_EQ(Rounded(0x1.ff4p-15F), 0x1.ffp-15F);  // and down
  EXPECT_EQ(Rounded(0x1p-24F), 0x1p-24F);
  EXPECT_EQ(Rounded(0x1.8p-25F), 0x1p-24F);
  EXPECT_EQ(BitsOf({Rounded(0x1p-25F), Rounded(-0x1p-25F), Rounded(-1e-40F)}),
            BitsOf({0.0F, -0.0F, -0.0F}));
}

TEST(Float16, RoundingAVectorChangesItOnce) {
  for (const size_t length : {size_t{0}, size_t{1}, size_t{7}, size_t{4096}, size_t{10'001}}) {
    std::vector<float> vector(length);
    for (size_t i = 0; i < length; ++i) vector[i] = std::ldexp(1.1F, static_cast<int>(i % 40) - 25);
    std::vector<float> expected;
    for (const float value : vector) expected.push_back(Rounded(value));
    RoundToFloat16(vector, "here");
    EXPECT_EQ(BitsOf(vector), BitsOf(expected));
    RoundToFloat16(vector, "here");
    EXPECT_EQ(BitsOf(vector), BitsOf(expected));
  }
}

TEST(Float16, InfinityAndNanStayWhileNumbersThatAreTooLargeAreRefused) {
  std::vector<float> vector = {kInfinity, -kInfinity, NAN, 65'519.0F, -65'519.0F};
  RoundToFloat16(vector, "here");
  EXPECT_EQ(vector[0], kInfinity);
  EXPECT_EQ(vector[1], -kInfinity);
  EXPECT_TRUE(std::isnan(vector[2]));
  EXPECT_EQ(vector[4], -65'504.0F);
  for (const float value : {65'520.0F, -65'520.0F, std::numeric_limits<float>::max()}) {
    std::vector<float> large(5000, 1.0F);
    large[4321] = value;
    try {
      RoundToFloat16(large, "here");
      ADD_FAILURE() << value;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.message(), HasSubstr("here: element 4321 is "));
      EXPECT_THAT(error.message(), HasSubstr("float16 ends at 65504; give --exchange float32"));
    }
  }
}

}  // namespace
}  // namespace lambdaml::wire
