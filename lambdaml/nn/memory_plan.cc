#include "lambdaml/nn/memory_plan.h"

#include <algorithm>
#include <numeric>

#include "lambdaml/base/check.h"

namespace lambdaml::nn {

MemoryPlan::Buffer MemoryPlan::Add(size_t size_bytes, int moment) {
  const size_t rounded = (size_bytes + kAlignmentBytes - 1) / kAlignmentBytes * kAlignmentBytes;
  entries_.push_back({rounded, moment, moment, 0});
  return static_cast<Buffer>(entries_.size()) - 1;
}

MemoryPlan::Buffer MemoryPlan::AddFloats(int64_t count, int moment) {
  return Add(static_cast<size_t>(count) * sizeof(float), moment);
}

void MemoryPlan::Use(Buffer buffer, int moment) {
  if (buffer == kNone) return;
  Entry& entry = entries_[static_cast<size_t>(buffer)];
  entry.first = std::min(entry.first, moment);
  entry.last = std::max(entry.last, moment);
}

void MemoryPlan::Place() {
  std::vector<size_t> order(entries_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [this](size_t a, size_t b) {
    return entries_[a].size_bytes > entries_[b].size_bytes;
  });
  std::vector<const Entry*> placed;  // by offset
  for (const size_t i : order) {
    Entry& entry = entries_[i];
    size_t offset = 0;
    for (const Entry* other : placed) {
      if (other->last < entry.first || entry.last < other->first) continue;
      if (offset + entry.size_bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->size_bytes);
    }
    entry.offset = offset;
    placed.insert(std::ranges::upper_bound(placed, offset, {}, &Entry::offset), &entry);
    size_bytes_ = std::max(size_bytes_, offset + entry.size_bytes);
  }
}

size_t MemoryPlan::offset(Buffer buffer) const {
  LAMBDAML_CHECK(buffer >= 0 && static_cast<size_t>(buffer) < entries_.size());
  return entries_[static_cast<size_t>(buffer)].offset;
}

size_t MemoryPlan::BoundBytes() const {
  size_t bound = 0;
  for (const Entry& at : entries_) {
    size_t alive = 0;
    for (const Entry& entry : entries_) {
      if (entry.first <= at.first && at.first <= entry.last) alive += entry.size_bytes;
    }
    bound = std::max(bound, alive);
  }
  return bound;
}

}  // namespace lambdaml::nn
