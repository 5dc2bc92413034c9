#include "lambdaml/base/buffer.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace lambdaml::base {
namespace {

constexpr size_t kKeptMinBytes = size_t{64} << 10;  // smaller blocks the C library keeps itself
constexpr size_t kSpareMaxBytes = size_t{512} << 20;
constexpr size_t kPageBytes = 4096;
constexpr size_t kLargePageBytes = size_t{2} << 20;

struct FreeMemory {
  void operator()(std::byte* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<std::byte, FreeMemory>;

struct Block {
  Memory memory;
  size_t size_bytes = 0;
};

Block NewBlock(size_t size_bytes) {
  const size_t alignment = size_bytes >= kLargePageBytes ? kLargePageBytes : kPageBytes;
  if (size_bytes > SIZE_MAX - alignment) throw std::bad_alloc();
  size_bytes = (size_bytes + alignment - 1) / alignment * alignment;
  Block block = {Memory(static_cast<std::byte*>(std::aligned_alloc(alignment, size_bytes))),
                 size_bytes};
  if (!block.memory) throw std::bad_alloc();
  // A wish: the block is as good without.
  if (alignment == kLargePageBytes) ::madvise(block.memory.get(), size_bytes, MADV_HUGEPAGE);
  return block;
}

// Threads: any, at once.
class SpareBlocks {
 public:
  // The smallest block that is large enough, and not twice as large as that.
  Block Take(size_t size_bytes) {
    const std::lock_guard lock(mutex_);
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block) {
      if (block->size_bytes < size_bytes || block->size_bytes / 2 > size_bytes) continue;
      if (best == blocks_.end() || block->size_bytes < best->size_bytes) best = block;
    }
    if (best == blocks_.end()) {
      DropOldest(size_bytes);  // for the new block that will take their place
      return {};
    }
    Block taken = std::move(*best);
    blocks_.erase(best);
    total_bytes_ -= taken.size_bytes;
    return taken;
  }

  void Keep(Block block) noexcept {
    const std::lock_guard lock(mutex_);
    if (block.size_bytes > kSpareMaxBytes) return;
    if (total_bytes_ + block.size_bytes > kSpareMaxBytes) {
      DropOldest(total_bytes_ + block.size_bytes - kSpareMaxBytes);
    }
    const size_t size_bytes = block.size_bytes;
    try {
      blocks_.push_back(std::move(block));
    } catch (const std::bad_alloc&) {
      return;  // then it is freed
    }
    total_bytes_ += size_bytes;
  }

  void DropAll() {
    const std::lock_guard lock(mutex_);
    DropOldest(total_bytes_);
  }

 private:
  // Frees at least so many bytes, or all.
  void DropOldest(size_t size_bytes) noexcept {
    size_t dropped_bytes = 0;
    auto kept = blocks_.begin();
    while (kept != blocks_.end() && dropped_bytes < size_bytes) {
      dropped_bytes += kept->size_bytes;
      ++kept;
    }
    blocks_.erase(blocks_.begin(), kept);
    total_bytes_ -= dropped_bytes;
  }

  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<Block> blocks_;  // the oldest first
  size_t total_bytes_ = 0;
};

SpareBlocks& Spares() {
  static auto& spares = *new SpareBlocks;  // for good: buffers may be dropped at the very end
  return spares;
}

}  // namespace

std::shared_ptr<std::byte[]> NewBuffer(size_t size_bytes) {
  if (size_bytes < kKeptMinBytes) return std::make_shared_for_overwrite<std::byte[]>(size_bytes);
  Block block = Spares().Take(size_bytes);
  if (!block.memory) block = NewBlock(size_bytes);
  const size_t block_bytes = block.size_bytes;
  std::byte* const memory = block.memory.release();
  // The deleter runs, too, if there is no memory for the counter.
  return {memory, [block_bytes](std::byte* dropped) {
            Spares().Keep({Memory(dropped), block_bytes});
          }};
}

void DropSpareBuffers() { Spares().DropAll(); }

}  // namespace lambdaml::base
