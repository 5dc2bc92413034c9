// An array that grows without copying: pages of anonymous memory, moved by mremap(2).
//
// A std::vector that doubles holds the old and the new array at once, three times the data at
// worst. Here only pages that were written count, so reading a file of unknown length peaks at the
// size of its matrix.
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace lambdaml::data {

// Untyped pages. New pages are zero.
class GrowablePages {
 public:
  GrowablePages() = default;
  GrowablePages(GrowablePages&& other) noexcept
      : address_(std::exchange(other.address_, nullptr)),
        capacity_bytes_(std::exchange(other.capacity_bytes_, 0)) {}
  GrowablePages& operator=(GrowablePages&& other) noexcept {
    std::swap(address_, other.address_);
    std::swap(capacity_bytes_, other.capacity_bytes_);
    return *this;
  }
  ~GrowablePages();

  void* address() const { return address_; }
  size_t capacity_bytes() const { return capacity_bytes_; }

  // Makes room for at least `bytes`, and for half as much again as there was.
  // Errors: kResourceExhausted when that is more than the machine's memory.
  void Reserve(size_t bytes);

  // Gives back the pages beyond `bytes`.
  void Trim(size_t bytes);

 private:
  void Remap(size_t bytes);

  void* address_ = nullptr;
  size_t capacity_bytes_ = 0;
};

// Invariant: elements from size() to capacity() were never written or are zeroed, so that
// AppendZeros costs nothing.
template <typename T>
requires std::is_trivially_copyable_v<T>
class GrowableBuffer {
 public:
  T* data() { return static_cast<T*>(pages_.address()); }
  const T* data() const { return static_cast<const T*>(pages_.address()); }
  size_t size() const { return size_; }
  std::span<const T> view() const { return {data(), size_}; }

  void Reserve(size_t count) {
    if (count * sizeof(T) > pages_.capacity_bytes()) pages_.Reserve(count * sizeof(T));
  }
  void Append(T value) {
    Reserve(size_ + 1);
    data()[size_++] = value;
  }
  T* AppendZeros(size_t count) {
    Reserve(size_ + count);
    T* first = data() + size_;
    size_ += count;
    return first;
  }
  void Append(std::span<const T> values) {
    T* target = AppendZeros(values.size());
    for (size_t i = 0; i < values.size(); ++i) target[i] = values[i];
  }
  // Takes in `count` elements that the caller has already stored beyond size().
  void CommitWritten(size_t count) { size_ += count; }
  // Drops the elements from `size` on.
  void Truncate(size_t size) {
    for (size_t i = size; i < size_; ++i) data()[i] = T{};
    size_ = size;
  }
  void Trim() { pages_.Trim(size_ * sizeof(T)); }

 private:
  GrowablePages pages_;
  size_t size_ = 0;
};

}  // namespace lambdaml::data
