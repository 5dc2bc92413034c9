// Seeded random numbers that are the same on every platform and compiler.
//
// Generator: xoshiro256** 1.0 (Blackman and Vigna 2021, "Scrambled linear pseudorandom number
// generators"), seeded by SplitMix64. The standard library's distributions differ between
// implementations, so the few that are needed stand here.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace lambdaml::base {

// A well-mixed 64-bit hash of `seed` and `stream`: independent generators from one user seed.
uint64_t MixSeed(uint64_t seed, uint64_t stream);

class Random {
 public:
  explicit Random(uint64_t seed);

  uint64_t Next();                 // uniform over 64 bits
  uint64_t Below(uint64_t bound);  // uniform over [0, bound), without bias; bound > 0
  double Uniform();                // uniform over [0, 1), 53 bits
  double Normal();                 // standard normal (Marsaglia's polar method)

 private:
  std::array<uint64_t, 4> state_;
  double spare_normal_ = 0;
  bool has_spare_normal_ = false;
};

// A uniformly random permutation of 0..count-1 (Fisher–Yates, Durstenfeld's form).
std::vector<int64_t> Permutation(int64_t count, uint64_t seed);

}  // namespace lambdaml::base
