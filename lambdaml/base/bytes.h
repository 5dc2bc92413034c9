// Spans of bytes, and Blob: bytes that somebody owns.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lambdaml::base {

using ByteSpan = std::span<const std::byte>;
using Bytes = std::vector<std::byte>;

inline ByteSpan AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view AsText(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Immutable bytes with shared ownership of what holds them: a vector, a mapped file, a reply's
// buffer. Copying a Blob copies no bytes.
class Blob {
 public:
  Blob() = default;
  explicit Blob(Bytes bytes) {
    auto owner = std::make_shared<const Bytes>(std::move(bytes));
    span_ = *owner;
    owner_ = std::move(owner);
  }
  // `owner` keeps `span` alive.
  Blob(ByteSpan span, std::shared_ptr<const void> owner) : span_(span), owner_(std::move(owner)) {}

  static Blob Copy(ByteSpan span) { return Blob(Bytes(span.begin(), span.end())); }

  ByteSpan span() const { return span_; }
  const std::byte* data() const { return span_.data(); }
  size_t size() const { return span_.size(); }
  std::string_view text() const { return AsText(span_); }
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  ByteSpan span_;
  std::shared_ptr<const void> owner_;
};

}  // namespace lambdaml::base
