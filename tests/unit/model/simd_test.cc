#include "lambdaml/model/simd.h"

#include <array>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <vector>

namespace lambdaml::model::simd {
namespace {

// |value - exact| in units of the last place of the exact value as a float.
double ErrorUlp(float value, double exact) {
  const auto rounded = static_cast<float>(exact);
  const double ulp =
      std::nextafter(std::abs(rounded), std::numeric_limits<float>::infinity()) - std::abs(rounded);
  return std::abs(static_cast<double>(value) - exact) / ulp;
}

template <typename Function, typename Exact>
double LargestErrorUlp(float from, float to, const Function& function, const Exact& exact) {
  constexpr int kSteps = 2'000'000;
  double largest = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const float x = from + (to - from) * (static_cast<float>(i) / kSteps);
    const F8 value = function(Broadcast(x));
    largest = std::max(largest, ErrorUlp(value[3], exact(static_cast<double>(x))));
  }
  return largest;
}

TEST(Simd, ExpAgreesWithLibm) {
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(LargestErrorUlp(-87.0F, 0.0F, ExpNonPositive, exact), 1.5);
  EXPECT_LT(LargestErrorUlp(-1e-3F, 0.0F, ExpNonPositive, exact), 1.5);
  EXPECT_EQ(ExpNonPositive(Broadcast(0.0F))[0], 1.0F);
  EXPECT_EQ(ExpNonPositive(Broadcast(-88.0F))[0], 0.0F);
  EXPECT_EQ(ExpNonPositive(Broadcast(-1e30F))[0], 0.0F);
  EXPECT_EQ(ExpNonPositive(Broadcast(-std::numeric_limits<float>::infinity()))[0], 0.0F);
  EXPECT_TRUE(std::isnan(ExpNonPositive(Broadcast(std::nanf("")))[0]));
}

TEST(Simd, Log1pAgreesWithLibm) {
  const auto exact = [](double x) { return std::log1p(x); };
  EXPECT_LT(LargestErrorUlp(0.0F, 1.0F, Log1p, exact), 3);
  EXPECT_LT(LargestErrorUlp(0.0F, 1e-6F, Log1p, exact), 3);
  EXPECT_EQ(Log1p(F8{})[0], 0.0F);
}

TEST(Simd, LogAgreesWithLibm) {
  for (const float to : {1.001F, 2.0F, 10.0F, 1e4F, 1e8F}) {
    constexpr int kSteps = 500'000;
    for (int i = 0; i <= kSteps; ++i) {
      const float x = 1.0F + (to - 1.0F) * (static_cast<float>(i) / kSteps);
      const double exact = std::log(static_cast<double>(x));
      const float value = LogAtLeastOne(Broadcast(x))[5];
      ASSERT_LT(std::min(ErrorUlp(value, exact) / 3, std::abs(value - exact) / 1e-7), 1) << x;
    }
  }
  EXPECT_EQ(LogAtLeastOne(Broadcast(1.0F))[0], 0.0F);
}

TEST(Simd, SumEachAddsTheLanesOfEachVector) {
  F8 v[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    for (int lane = 0; lane < kLanes; ++lane) v[i][lane] = static_cast<float>(100 * i + lane);
  }
  const F8 sums = SumEach(v);
  for (int i = 0; i < kLanes; ++i) EXPECT_EQ(sums[i], static_cast<float>(800 * i + 28));
}

TEST(Simd, LoadPartialReadsNothingBeyond) {
  for (int count = 0; count <= kLanes; ++count) {
    const std::vector<float> values(static_cast<size_t>(count), 7.0F);  // sanitizers watch the end
    const F8 v = LoadPartial(values.data(), count);
    for (int lane = 0; lane < kLanes; ++lane) EXPECT_EQ(v[lane], lane < count ? 7.0F : 0.0F);
  }
}

}  // namespace
}  // namespace lambdaml::model::simd
