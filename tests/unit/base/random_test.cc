#include "lambdaml/base/random.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <gtest/gtest.h>
#include <map>
#include <numeric>
#include <vector>

namespace lambdaml::base {
namespace {

// Reference values come from a second implementation of SplitMix64 and xoshiro256** in Python,
// which in turn gives the published sequences (SplitMix64 of 1234567 begins with
// 6457827717110365317; xoshiro256** of state {1, 2, 3, 4} with 11520, 0, 1509978240,
// 1215971899390074240).
TEST(RandomTest, IsXoshiro256StarStarSeededBySplitMix64) {
  const auto first = [](uint64_t seed) {
    Random random(seed);
    std::array<uint64_t, 4> values = {};
    for (uint64_t& value : values) value = random.Next();
    return values;
  };
  EXPECT_EQ(first(0), (std::array<uint64_t, 4>{0x99ec5f36cb75f2b4, 0xbf6e1f784956452a,
                                               0x1a5f849d4933e6e0, 0x6aa594f1262d2d2c}));
  EXPECT_EQ(first(42), (std::array<uint64_t, 4>{0x15780b2e0c2ec716, 0x6104d9866d113a7e,
                                                0xae17533239e499a1, 0xecb8ad4703b360a1}));
  EXPECT_EQ(first(~uint64_t{0}), (std::array<uint64_t, 4>{0x8f5520d52a7ead08, 0xc476a018caa1802d,
                                                          0x81de31c0d260469e, 0xbf658d7e065f3c2f}));
}

TEST(RandomTest, TheThousandthValueIsTheReferences) {
  Random random(42);
  uint64_t value = 0;
  for (int i = 0; i < 1000; ++i) value = random.Next();
  EXPECT_EQ(value, 0x8de5848c61ab8968U);
}

TEST(RandomTest, UniformIsTheUpperFiftyThreeBits) {
  Random random(7);
  EXPECT_EQ(random.Uniform(), 0x1.66b1f5ee9df2ep-1);
  EXPECT_EQ(random.Uniform(), 0x1.1d70f6593d20ap-2);
  EXPECT_EQ(random.Uniform(), 0x1.ade3a6932a58fp-1);
}

TEST(RandomTest, UniformStaysBelowOneWithTheMeanAndVarianceItMustHave) {
  Random random(1);
  constexpr int kCount = 200'000;
  double sum = 0;
  double square_sum = 0;
  for (int i = 0; i < kCount; ++i) {
    const double value = random.Uniform();
    ASSERT_GE(value, 0);
    ASSERT_LT(value, 1);
    sum += value;
    square_sum += value * value;
  }
  const double mean = sum / kCount;
  EXPECT_NEAR(mean, 0.5, 5 * std::sqrt(1.0 / 12 / kCount));
  EXPECT_NEAR(square_sum / kCount - mean * mean, 1.0 / 12, 1e-3);
}

TEST(RandomTest, BelowTakesEveryValueEquallyOften) {
  Random random(2);
  constexpr uint64_t kBound = 10;
  constexpr int kCount = 100'000;
  std::array<int, kBound> counts = {};
  for (int i = 0; i < kCount; ++i) ++counts.at(random.Below(kBound));
  double chi_square = 0;
  for (const int count : counts) {
    const double difference = count - kCount / static_cast<double>(kBound);
    chi_square += difference * difference / (kCount / static_cast<double>(kBound));
  }
  EXPECT_LT(chi_square, 27.9);  // 9 degrees of freedom: 0.1 % quantile
}

TEST(RandomTest, BelowIsUnbiasedWhereAPlainRemainderIsNot) {
  // Of 2^64 values, the remainder by 3·2^62 falls into the lowest third half of the time.
  constexpr uint64_t kBound = uint64_t{3} << 62;
  Random random(3);
  int lowest_third = 0;
  constexpr int kCount = 30'000;
  for (int i = 0; i < kCount; ++i) {
    const uint64_t value = random.Below(kBound);
    ASSERT_LT(value, kBound);
    if (value < kBound / 3) ++lowest_third;
  }
  EXPECT_NEAR(lowest_third / static_cast<double>(kCount), 1.0 / 3, 0.015);
}

TEST(RandomTest, BelowOneIsZeroAndTheLargestBoundWorks) {
  Random random(4);
  EXPECT_EQ(random.Below(1), 0U);
  EXPECT_LT(random.Below(~uint64_t{0}), ~uint64_t{0});
}

TEST(RandomTest, NormalHasTheMomentsOfTheStandardNormal) {
  Random random(5);
  constexpr int kCount = 200'000;
  std::array<double, 5> moments = {};
  for (int i = 0; i < kCount; ++i) {
    const double value = random.Normal();
    double power = 1;
    for (double& moment : moments) {
      moment += power / kCount;
      power *= value;
    }
  }
  EXPECT_NEAR(moments[1], 0, 0.012);
  EXPECT_NEAR(moments[2], 1, 0.017);
  EXPECT_NEAR(moments[3], 0, 0.045);
  EXPECT_NEAR(moments[4], 3, 0.12);
}

TEST(RandomTest, EqualSeedsGiveEqualSequences) {
  Random a(6);
  Random b(6);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.Normal(), b.Normal());
}

TEST(MixSeedTest, GivesTheReferencesValues) {
  EXPECT_EQ(MixSeed(1, 0), 0x5e41ab087439611eU);
  EXPECT_EQ(MixSeed(1, 1), 0xe9fd6049d65af21eU);
  EXPECT_EQ(MixSeed(0, 0), 0xa706dd2f4d197e6fU);
}

TEST(MixSeedTest, NeighbouringSeedsAndStreamsDoNotCollide) {
  std::map<uint64_t, int> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t stream = 0; stream < 100; ++stream) ++seen[MixSeed(seed, stream)];
  }
  EXPECT_EQ(seen.size(), 10'000U);
}

TEST(PermutationTest, GivesTheReferencesOrder) {
  EXPECT_EQ(Permutation(10, 7), (std::vector<int64_t>{8, 3, 9, 0, 7, 2, 1, 6, 5, 4}));
}

TEST(PermutationTest, HoldsEveryNumberOnce) {
  for (const int64_t count : {0, 1, 2, 3, 100, 12'345}) {
    std::vector<int64_t> order = Permutation(count, 8);
    std::sort(order.begin(), order.end());
    std::vector<int64_t> expected(static_cast<size_t>(count));
    std::iota(expected.begin(), expected.end(), int64_t{0});
    EXPECT_EQ(order, expected) << count;
  }
}

TEST(PermutationTest, EveryOrderIsEquallyLikely) {
  std::map<std::vector<int64_t>, int> counts;
  constexpr int kCount = 24'000;
  for (uint64_t seed = 0; seed < kCount; ++seed) ++counts[Permutation(4, seed)];
  EXPECT_EQ(counts.size(), 24U);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - 1000.) * (count - 1000.) / 1000;
  EXPECT_LT(chi_square, 49.8);  // 23 degrees of freedom: 0.1 % quantile
}

}  // namespace
}  // namespace lambdaml::base
