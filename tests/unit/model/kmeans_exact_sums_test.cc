#include "lambdaml/model/kmeans_exact_sums.h"

#include <cmath>
#include <gtest/gtest.h>
#include <vector>

#include "lambdaml/base/random.h"

namespace lambdaml::model::kmeans {
namespace {

// Normal numbers whose scales are spread evenly between two powers of two.
struct Numbers {
  std::vector<float> values;
  float max_abs = 0;

  Numbers(size_t count, double scale_min_log2, double scale_max_log2, uint64_t seed) {
    base::Random random(seed);
    for (size_t i = 0; i < count; ++i) {
      const double log2 = scale_min_log2 + (scale_max_log2 - scale_min_log2) * random.Uniform();
      values.push_back(static_cast<float>(random.Normal() * std::exp2(log2)));
      max_abs = std::max(max_abs, std::abs(values.back()));
    }
  }
};

struct Sum {
  double high = 0;
  double low = 0;
  double total() const { return high + low; }
};

TEST(ExactSumsTest, OrderAndDetoursChangeNoBit) {
  for (const double spread : {0.0, 20.0, 60.0, 200.0}) {
    const Numbers numbers(5000, -spread, 0, 7);
    const SumGrid grid(std::vector<float>{numbers.max_abs}, 10000);
    Sum forwards;
    for (const float& x : numbers.values) grid.Add(&x, 1, &forwards.high, &forwards.low);
    Sum backwards;
    for (size_t i = numbers.values.size(); i-- > 0;) {
      grid.Add(&numbers.values[i], 1, &backwards.high, &backwards.low);
    }
    EXPECT_EQ(forwards.high, backwards.high);
    EXPECT_EQ(forwards.low, backwards.low);
    // Every other one taken out again and put back.
    for (size_t i = 0; i < numbers.values.size(); i += 2) {
      grid.Add(&numbers.values[i], -1, &backwards.high, &backwards.low);
    }
    EXPECT_NE(forwards.high, backwards.high);
    for (size_t i = 0; i < numbers.values.size(); i += 2) {
      grid.Add(&numbers.values[i], 1, &backwards.high, &backwards.low);
    }
    EXPECT_EQ(forwards.high, backwards.high);
    EXPECT_EQ(forwards.low, backwards.low);
  }
}

TEST(ExactSumsTest, TheTotalIsTheExactSumRoundedOnce) {
  // Multiples of 2^-50 below 2^13 in sum: 64-digit arithmetic is exact.
  base::Random random(3);
  std::vector<float> values;
  long double exact = 0;
  float max_abs = 0;
  for (int i = 0; i < 4096; ++i) {
    const auto digits = static_cast<double>(random.Below(1 << 24)) - (1 << 23);
    const double scale = std::exp2(-50 + static_cast<double>(random.Below(27)));
    values.push_back(static_cast<float>(digits * scale));
    exact += static_cast<long double>(values.back());
    max_abs = std::max(max_abs, std::abs(values.back()));
  }
  const SumGrid grid(std::vector<float>{max_abs}, 4096);
  Sum sum;
  for (const float& x : values) grid.Add(&x, 1, &sum.high, &sum.low);
  EXPECT_EQ(sum.total(), static_cast<double>(exact));
}

TEST(ExactSumsTest, ASparseRowAddsWhatADenseOneDoes) {
  const Numbers numbers(8, -30, 30, 5);
  const SumGrid grid(std::vector<float>(8, numbers.max_abs), 100);
  std::vector<double> high(8);
  std::vector<double> low(8);
  grid.Add(numbers.values.data(), 1, high.data(), low.data());
  std::vector<double> sparse_high(8);
  std::vector<double> sparse_low(8);
  const std::vector<int32_t> columns{0, 1, 2, 3, 4, 5, 6, 7};
  grid.Add(SparseRow{columns, numbers.values}, 1, sparse_high.data(), sparse_low.data());
  EXPECT_EQ(high, sparse_high);
  EXPECT_EQ(low, sparse_low);
}

TEST(ExactSumsTest, WholeNumbersNeedNoLowParts) {
  const std::vector<float> max{255, 255, 0};
  const SumGrid grid(max, 1 << 20);
  EXPECT_TRUE(grid.IsCoarse(std::vector<float>{17, 255, 0}.data()));
  EXPECT_FALSE(grid.IsCoarse(std::vector<float>{17, 1e-20F, 0}.data()));
}

TEST(ExactSumsTest, TheLargestAndTheSmallestNumbersAddUp) {
  const float largest = std::numeric_limits<float>::max();
  const SumGrid grid(std::vector<float>{largest}, 1000);
  Sum sum;
  for (int i = 0; i < 1000; ++i) grid.Add(&largest, 1, &sum.high, &sum.low);
  EXPECT_EQ(sum.total(), 1000 * static_cast<double>(largest));
  const float smallest = std::numeric_limits<float>::denorm_min();
  const SumGrid fine(std::vector<float>{smallest}, 1000);
  Sum small;
  for (int i = 0; i < 1000; ++i) fine.Add(&smallest, 1, &small.high, &small.low);
  EXPECT_EQ(small.total(), 1000 * static_cast<double>(smallest));
}

}  // namespace
}  // namespace lambdaml::model::kmeans
