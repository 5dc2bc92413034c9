// How much memory the server's clients may make it use. Every buffer that outlives a call is paid
// for from one budget, so that a full server refuses clearly and never dies.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace lambdaml::ps {

// Threads: any. Must outlive its reservations.
class MemoryBudget {
 public:
  // Bytes that are given back with the object.
  class Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation() { Release(); }
    void Release();

   private:
    friend class MemoryBudget;
    Reservation(MemoryBudget* budget, uint64_t bytes) : budget_(budget), bytes_(bytes) {}

    MemoryBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  explicit MemoryBudget(uint64_t limit_bytes) : limit_bytes_(limit_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Errors: kResourceExhausted, saying how much is used of how much.
  Reservation Reserve(uint64_t bytes);

  uint64_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  uint64_t limit_bytes() const { return limit_bytes_; }

 private:
  const uint64_t limit_bytes_;
  std::atomic<uint64_t> used_bytes_{0};
};

// Memory with any content that is paid for until it is dropped. Untouched pages cost nothing, so a
// size that is only announced takes no memory from the machine.
// Errors: kResourceExhausted.
std::shared_ptr<std::byte[]> NewPaidBuffer(MemoryBudget& budget, size_t size_bytes);

}  // namespace lambdaml::ps
