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

// The next kDoubles numbers from memory.
inline Doubles LoadDoubles(const double* from) {
  Doubles v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
inline Doubles LoadDoubles(const float* from) {
  using Floats = float __attribute__((vector_size(16)));
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return __builtin_convertvector(v, Doubles);
}
// The first `count` (at least 1) of them, zeros after; nothing beyond them is read.
inline Doubles LoadDoubles(const float* from, int64_t count) {
  if (count >= kDoubles) return LoadDoubles(from);
  Doubles v = {};
  for (int64_t i = 0; i < count; ++i) v[i] = static_cast<double>(from[i]);
  return v;
}
inline void StoreDoubles(double* to, Doubles v) { std::memcpy(to, &v, sizeof v); }

inline PreciseSum<double> Total(const PreciseSum<Doubles>& lanes) {
  PreciseSum<double> total;
  for (int i = 0; i < kDoubles; ++i) {
    total.Add(lanes.sum[i]);
    total.error += lanes.error[i];
  }
  return total;
}

}  // namespace lambdaml::model::kmeans
