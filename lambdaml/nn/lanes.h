// Eight floats at a time, for the loops that this module runs over blocks of channels.
#pragma once

#include <cstdint>
#include <cstring>

namespace lambdaml::nn {

inline constexpr int64_t kLanes = 8;

using F8 = float __attribute__((vector_size(32)));

inline F8 Load(const float* from) {
  F8 v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void Store(float* to, F8 v) { std::memcpy(to, &v, sizeof v); }

// Channels of one block, a lane each.
template <int kBlock>
struct BlockLanes {
  static constexpr int kVectors = kBlock / static_cast<int>(kLanes);

  F8 v[kVectors] = {};

  static BlockLanes From(const float* from) {
    BlockLanes lanes;
    for (int i = 0; i < kVectors; ++i) lanes.v[i] = Load(from + i * kLanes);
    return lanes;
  }
  void To(float* to) const {
    for (int i = 0; i < kVectors; ++i) Store(to + i * kLanes, v[i]);
  }
};

}  // namespace lambdaml::nn
