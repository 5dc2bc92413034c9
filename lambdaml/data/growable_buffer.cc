#include "lambdaml/data/growable_buffer.h"

#include <algorithm>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"

namespace lambdaml::data {
namespace {

// Arrays from this size on ask for huge pages, which are faster to touch first; smaller ones would
// only waste the rest of their last 2 MiB.
constexpr size_t kHugePagesMinBytes = size_t{8} << 20;

size_t MemoryOfMachineBytes() {
  static const size_t bytes =
      static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

size_t RoundUpToPage(size_t bytes) {
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

GrowablePages::~GrowablePages() {
  if (address_ != nullptr) ::munmap(address_, capacity_bytes_);
}

void GrowablePages::Reserve(size_t bytes) {
  if (bytes <= capacity_bytes_) return;
  const size_t memory_bytes = MemoryOfMachineBytes();
  if (bytes > memory_bytes) {
    throw base::Error(base::ErrorCode::kResourceExhausted,
                      fmt::format("the matrix needs {} of memory, the machine has {}",
                                  base::FormatBytes(bytes), base::FormatBytes(memory_bytes)));
  }
  const size_t generous = capacity_bytes_ + capacity_bytes_ / 2;
  Remap(RoundUpToPage(std::max(bytes, std::min(generous, memory_bytes))));
}

void GrowablePages::Trim(size_t bytes) {
  const size_t wanted = RoundUpToPage(std::max<size_t>(bytes, 1));
  if (wanted < capacity_bytes_) Remap(wanted);
}

void GrowablePages::Remap(size_t bytes) {
  void* address = address_ == nullptr ? ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                      : ::mremap(address_, capacity_bytes_, bytes, MREMAP_MAYMOVE);
  if (address == MAP_FAILED) {
    throw base::Error(base::ErrorCode::kResourceExhausted,
                      fmt::format("cannot get {} of memory", base::FormatBytes(bytes)));
  }
  address_ = address;
  capacity_bytes_ = bytes;
  // Advice only: without huge pages the array works the same.
  if (bytes >= kHugePagesMinBytes) ::madvise(address, bytes, MADV_HUGEPAGE);
}

}  // namespace lambdaml::data
