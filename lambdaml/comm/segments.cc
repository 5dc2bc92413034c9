#include "lambdaml/comm/segments.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::comm {
namespace {

std::string SegmentKey(const std::string& key, uint64_t segment) {
  return segment == 0 ? key : fmt::format("{}.s{}", key, segment);
}

uint64_t SegmentCount(uint64_t message_size_bytes, uint64_t segment_size_bytes) {
  return (message_size_bytes + segment_size_bytes - 1) / segment_size_bytes;
}

// Waits for segments 1.. and joins all; nothing if one is missing at the deadline.
std::optional<base::Blob> JoinSegments(store::Store& store, const std::string& key,
                                       const base::Blob& first, uint64_t message_size_bytes,
                                       const base::Deadline& deadline) {
  const uint64_t segment_size_bytes = store.capabilities().value_size_max_bytes;
  if (first.size() != segment_size_bytes) {
    throw base::Error(
        base::ErrorCode::kCorrupt,
        fmt::format("{} in {}: {} bytes are neither the whole message of {} nor a "
                    "segment of {}",
                    key, store.url(), first.size(), message_size_bytes, segment_size_bytes));
  }
  std::vector<std::string> keys;
  for (uint64_t s = 1; s < SegmentCount(message_size_bytes, segment_size_bytes); ++s) {
    keys.push_back(SegmentKey(key, s));
  }
  const auto others = store.WaitAll(keys, deadline);
  base::Bytes joined;
  joined.reserve(segment_size_bytes * (keys.size() + 1));
  joined.insert(joined.end(), first.span().begin(), first.span().end());
  for (const auto& segment : others) {
    if (!segment) return std::nullopt;
    joined.insert(joined.end(), segment->span().begin(), segment->span().end());
  }
  return base::Blob(std::move(joined));
}

}  // namespace

std::vector<std::string> PutMessages(store::Store& store, std::span<const KeyedMessage> messages,
                                     const base::Deadline& deadline) {
  const uint64_t segment_size_bytes = store.capabilities().value_size_max_bytes;
  std::vector<store::KeyValue> entries;
  for (const KeyedMessage& message : messages) {
    const base::ByteSpan bytes = message.message;
    for (uint64_t s = 0; s < SegmentCount(bytes.size(), segment_size_bytes); ++s) {
      const uint64_t begin = s * segment_size_bytes;
      const uint64_t size = std::min<uint64_t>(segment_size_bytes, bytes.size() - begin);
      entries.push_back({SegmentKey(message.key, s), bytes.subspan(begin, size)});
    }
  }
  store.PutAll(entries, deadline);
  std::vector<std::string> keys;
  keys.reserve(entries.size());
  for (store::KeyValue& entry : entries) keys.push_back(std::move(entry.key));
  return keys;
}

std::vector<std::optional<base::Blob>> WaitForMessages(store::Store& store,
                                                       std::span<const std::string> keys,
                                                       const base::Deadline& deadline) {
  auto messages = store.WaitAll(keys, deadline);
  for (size_t i = 0; i < keys.size(); ++i) {
    auto& message = messages[i];
    if (!message) continue;
    const uint64_t size_bytes = wire::MessageSizeBytes(message->span(), keys[i]);
    if (size_bytes <= message->size()) continue;
    message = JoinSegments(store, keys[i], *message, size_bytes, deadline);
  }
  return messages;
}

}  // namespace lambdaml::comm
