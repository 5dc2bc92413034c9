// What a transport is to send: small pieces are gathered, a large one is sent from where it stands,
// all in one call. So a peer that waits is woken once for a message, not for each of its parts.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "lambdaml/base/bytes.h"

namespace lambdaml::ps {

// Threads: one.
class OutBuffer {
 public:
  // Appends. Bytes that are not copied must live until Clear: Thrift's code flushes before a call's
  // arguments and results end. Returns false if what is here must be sent first.
  bool Add(std::span<const uint8_t> bytes) {
    if (bytes.size() <= buffer_.size() - size_) {
      std::memcpy(buffer_.data() + size_, bytes.data(), bytes.size());
      size_ += bytes.size();
      return true;
    }
    if (bytes.size() <= buffer_.size() || !large_.empty()) return false;
    large_ = bytes;
    large_at_ = size_;
    return true;
  }

  // What there is, in order.
  std::array<base::ByteSpan, 3> parts() const {
    const base::ByteSpan small = std::as_bytes(std::span(buffer_).first(size_));
    const size_t before = large_.empty() ? size_ : large_at_;
    return {small.first(before), std::as_bytes(large_), small.subspan(before)};
  }
  size_t size() const { return size_ + large_.size(); }
  void Clear() {
    large_ = {};
    size_ = 0;
  }

 private:
  std::array<uint8_t, size_t{16} << 10> buffer_;
  size_t size_ = 0;
  std::span<const uint8_t> large_;
  size_t large_at_ = 0;  // its position among what is in buffer_
};

}  // namespace lambdaml::ps
