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

// A sum of one column.
struct Sum {
  std::vector<double> parts = std::vector<double>(static_cast<size_t>(PartsSize(1)));

  double total() const { return SumAt(parts.data(), 0); }
  bool operator==(const Sum&) const = default;
};

TEST(ExactSumsTest, OrderAndDetoursChangeNoBit) {
  for (const double spread : {0.0, 20.0, 60.0, 200.0}) {
    const Numbers numbers(5000, -spread, 0, 7);
    const SumGrid grid(std::vector<float>{numbers.max_abs}, 10000);
    Sum forwards;
    for (const float& x : numbers.values) grid.Add(&x, 1, forwards.parts.data());
    Sum backwards;
    for (size_t i = numbers.values.size(); i-- > 0;) {
      grid.Add(&numbers.values[i], 1, backwards.parts.data());
    }
    EXPECT_EQ(forwards, backwards);
    // Every other one taken out again and put back.
    for (size_t i = 0; i < numbers.values.size(); i += 2) {
      grid.Add(&numbers.values[i], -1, backwards.parts.data());
    }
    EXPECT_NE(forwards, backwards);
    for (size_t i = 0; i < numbers.values.size(); i += 2) {
      grid.Add(&numbers.values[i], 1, backwards.parts.data());
    }
    EXPECT_EQ(forwards, backwards);
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
  for (const float& x : values) grid.Add(&x, 1, sum.parts.data());
  EXPECT_EQ(sum.total(), static_cast<double>(exact));
}

TEST(ExactSumsTest, ASparseRowAddsWhatADenseOneDoes) {
  for (const float last : {1.0F, 1e-20F}) {  // columns of similar and of very unequal size
    Numbers numbers(9, -3, 3, 5);
    numbers.values[8] = last;
    std::vector<float> max_abs;
    for (const float value : numbers.values) max_abs.push_back(std::abs(value));
    const SumGrid grid(max_abs, 100);
    std::vector<double> dense(static_cast<size_t>(PartsSize(9)));
    grid.Add(numbers.values.data(), -1, dense.data());
    std::vector<double> sparse(dense.size());
    const std::vector<int32_t> columns{0, 1, 2, 3, 4, 5, 6, 7, 8};
    grid.Add(SparseRow{columns, numbers.values}, -1, sparse.data());
    EXPECT_EQ(dense, sparse);
    for (size_t j = 0; j < 9; ++j) {
      EXPECT_EQ(SumAt(dense.data(), j), -static_cast<double>(numbers.values[j]));
    }
  }
}

TEST(ExactSumsTest, MovingARowIsTakingItOutAndAddingIt) {
  for (const float last : {1.0F, 1e-20F}) {
    Numbers numbers(9, -3, 3, 6);
    numbers.values[8] = last;
    std::vector<float> max_abs;
    for (const float value : numbers.values) max_abs.push_back(std::abs(value));
    const SumGrid grid(max_abs, 100);
    const std::vector<int32_t> columns{0, 1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<double> zeros(static_cast<size_t>(PartsSize(9)));
    std::vector<double> plus = zeros;
    std::vector<double> minus = zeros;
    grid.Add(numbers.values.data(), 1, plus.data());
    grid.Add(numbers.values.data(), -1, minus.data());
    std::vector<double> from = zeros;
    std::vector<double> to = zeros;
    grid.Move(numbers.values.data(), from.data(), to.data());
    EXPECT_EQ(from, minus);
    EXPECT_EQ(to, plus);
    grid.Move(SparseRow{columns, numbers.values}, to.data(), from.data());
    EXPECT_EQ(from, zeros);
    EXPECT_EQ(to, zeros);
  }
}

TEST(ExactSumsTest, TheLargestAndTheSmallestNumbersAddUp) {
  const float largest = std::numeric_limits<float>::max();
  const SumGrid grid(std::vector<float>{largest}, 1000);
  Sum sum;
  for (int i = 0; i < 1000; ++i) grid.Add(&largest, 1, sum.parts.data());
  EXPECT_EQ(sum.total(), 1000 * static_cast<double>(largest));
  const float smallest = std::numeric_limits<float>::denorm_min();
  const SumGrid fine(std::vector<float>{smallest}, 1000);
  Sum small;
  for (int i = 0; i < 1000; ++i) fine.Add(&smallest, 1, small.parts.data());
  EXPECT_EQ(small.total(), 1000 * static_cast<double>(smallest));
}

}  // namespace
}  // namespace lambdaml::model::kmeans
