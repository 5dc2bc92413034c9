// Numbers that are certainly not too small, and sums in twice the precision of float64.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

namespace lambdaml::model::kmeans {

// A float32 operation's relative error.
inline constexpr float kUnit = 0x1p-24F;
// Factors that cover the roundings of a bound's own arithmetic, away from the exact value.
inline constexpr float kAbove = 1 + 0x1p-20F;
inline constexpr float kBelow = 1 - 0x1p-20F;

// At least `value`, which is not negative; +inf for what float32 cannot hold.
inline float FloatAbove(double value) {
  constexpr double kMax = 0x1p127;
  return value < kMax ? static_cast<float>(value) * kAbove : std::numeric_limits<float>::infinity();
}

// A sum whose roundings are summed up too (Ogita, Rump and Oishi 2005, "Accurate sum and dot
// product": Sum2): as exact as if computed in twice the precision and rounded. T is double or a
// vector of doubles.
template <typename T>
struct PreciseSum {
  T sum = {};
  T error = {};

  void Add(T value) {
    const T total = sum + value;
    const T added = total - sum;
    error += (sum - (total - added)) + (value - added);
    sum = total;
  }
  void Add(const PreciseSum& other) {
    Add(other.sum);
    error += other.error;
  }
};

using Doubles = double __attribute__((vector_size(32)));
inline constexpr int kDoubles = 4;

// The first `count` (1 to kDoubles) numbers from memory, zeros after.
template <typename Number>
Doubles LoadDoubles(const Number* from, int64_t count) {
  Number values[kDoubles] = {};
  std::memcpy(values, from, static_cast<size_t>(count) * sizeof(Number));
  return Doubles{static_cast<double>(values[0]), static_cast<double>(values[1]),
                 static_cast<double>(values[2]), static_cast<double>(values[3])};
}

inline PreciseSum<double> Total(const PreciseSum<Doubles>& lanes) {
  PreciseSum<double> total;
  for (int i = 0; i < kDoubles; ++i) {
    total.Add(lanes.sum[i]);
    total.error += lanes.error[i];
  }
  return total;
}

}  // namespace lambdaml::model::kmeans
