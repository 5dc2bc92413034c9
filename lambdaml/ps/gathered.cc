#include "lambdaml/ps/gathered.h"

#include <cstring>
#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

constexpr size_t kCountSizeBytes = 8;

// Copies `size` bytes to `position` of `out`, and moves the position behind them.
void Append(const void* bytes, size_t size, base::Bytes* out, size_t* position) {
  if (size > 0) std::memcpy(out->data() + *position, bytes, size);
  *position += size;
}

}  // namespace

base::Bytes EncodeGathered(std::span<const base::ByteSpan> blobs) {
  size_t size = kCountSizeBytes + blobs.size() * sizeof(uint64_t);
  for (const base::ByteSpan blob : blobs) size += blob.size();
  base::Bytes out(size);
  size_t position = 0;
  const uint64_t count = blobs.size();
  Append(&count, sizeof(count), &out, &position);
  for (const base::ByteSpan blob : blobs) {
    const uint64_t blob_size = blob.size();
    Append(&blob_size, sizeof(blob_size), &out, &position);
  }
  for (const base::ByteSpan blob : blobs) Append(blob.data(), blob.size(), &out, &position);
  return out;
}

std::vector<base::Blob> DecodeGathered(const base::Blob& payload, std::string_view origin) {
  const auto corrupt = [origin] {
    return base::Error(base::ErrorCode::kCorrupt,
                       fmt::format("{}: it does not hold the blobs of all ranks", origin));
  };
  const base::ByteSpan bytes = payload.span();
  uint64_t count = 0;
  if (bytes.size() < kCountSizeBytes) throw corrupt();
  std::memcpy(&count, bytes.data(), sizeof(count));
  if (count > (bytes.size() - kCountSizeBytes) / sizeof(uint64_t)) throw corrupt();
  size_t position = kCountSizeBytes + count * sizeof(uint64_t);
  std::vector<base::Blob> blobs;
  for (size_t i = 0; i < count; ++i) {
    uint64_t size = 0;
    std::memcpy(&size, bytes.data() + kCountSizeBytes + i * sizeof(size), sizeof(size));
    if (size > bytes.size() - position) throw corrupt();
    blobs.emplace_back(bytes.subspan(position, size), payload.owner());
    position += size;
  }
  if (position != bytes.size()) throw corrupt();
  return blobs;
}

}  // namespace lambdaml::ps
