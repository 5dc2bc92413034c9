// Where the buffers of one training step lie in one block of memory.
//
// A step is a sequence of moments 0, 1, 2, …; each buffer is needed from one moment to another, and
// buffers that are never needed together share memory. Placement is greedy, the largest first, each
// at the lowest place that is free while it lives: not always the least possible, but for chains of
// layers close to the largest sum of bytes alive at one moment, which no plan can beat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lambdaml::nn {

class MemoryPlan {
 public:
  // A buffer of the plan. kNone: no buffer.
  using Buffer = int;
  static constexpr Buffer kNone = -1;

  // Every buffer begins at a multiple of this: a cache line, and a vector register of AVX-512.
  static constexpr size_t kAlignmentBytes = 64;

  // A buffer that lives at `moment`.
  Buffer Add(size_t size_bytes, int moment);
  Buffer AddFloats(int64_t count, int moment);

  // Lengthens the buffer's life to take in `moment`. kNone is left alone.
  void Use(Buffer buffer, int moment);

  // Gives every buffer its place. No Add or Use afterwards.
  void Place();

  size_t offset(Buffer buffer) const;  // after Place
  size_t size_bytes() const { return size_bytes_; }

  // The largest sum of sizes alive at one moment: a lower bound of size_bytes().
  size_t BoundBytes() const;

 private:
  struct Entry {
    size_t size_bytes = 0;
    int first = 0;
    int last = 0;
    size_t offset = 0;
  };

  std::vector<Entry> entries_;
  size_t size_bytes_ = 0;
};

}  // namespace lambdaml::nn
