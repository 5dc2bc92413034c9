#include "lambdaml/ps/memory_budget.h"

#include <fmt/format.h>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"

namespace lambdaml::ps {

using base::Error;
using base::ErrorCode;

MemoryBudget::Reservation& MemoryBudget::Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    Release();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void MemoryBudget::Reservation::Release() {
  if (budget_ != nullptr) budget_->used_bytes_.fetch_sub(bytes_, std::memory_order_relaxed);
  budget_ = nullptr;
  bytes_ = 0;
}

MemoryBudget::Reservation MemoryBudget::Reserve(uint64_t bytes) {
  uint64_t used = used_bytes_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_bytes_ || used > limit_bytes_ - bytes) {
      throw Error(ErrorCode::kResourceExhausted,
                  fmt::format("the parameter server is full: it holds {} of {}, and {} more are "
                              "asked for; give it more --memory_mb, or checkpoint more often",
                              base::FormatBytes(used), base::FormatBytes(limit_bytes_),
                              base::FormatBytes(bytes)));
    }
  } while (!used_bytes_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return {this, bytes};
}

std::shared_ptr<std::byte[]> NewPaidBuffer(MemoryBudget& budget, size_t size_bytes) {
  struct PaidBuffer {
    MemoryBudget::Reservation reservation;
    std::shared_ptr<std::byte[]> bytes;
  };
  auto buffer = std::make_shared<PaidBuffer>();
  buffer->reservation = budget.Reserve(size_bytes);
  buffer->bytes = base::NewBuffer(size_bytes);
  std::byte* const bytes = buffer->bytes.get();
  return {std::move(buffer), bytes};
}

}  // namespace lambdaml::ps
