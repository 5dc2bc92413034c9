#include "lambdaml/comm/segments.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/buffer.h"
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

base::Blob Join(std::vector<std::optional<base::Blob>>& segments) {
  size_t size_bytes = 0;
  for (const auto& segment : segments) size_bytes += segment->size();
  auto memory = base::NewBuffer(size_bytes);
  size_t at = 0;
  for (auto& segment : segments) {
    std::ranges::copy(segment->span(), memory.get() + at);
    at += segment->size();
    segment.reset();
  }
  const base::ByteSpan joined(memory.get(), size_bytes);
  return base::Blob(joined, std::move(memory));
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

MessageReader::MessageReader(store::Store& store, std::span<const std::string> keys)
    : store_(store) {
  for (const std::string& key : keys) messages_.push_back({key, {std::nullopt}});
}

bool MessageReader::Wait(const base::Deadline& deadline) {
  // At most twice: the first segments tell which others there are.
  while (true) {
    std::vector<std::string> keys;
    std::vector<std::pair<Incoming*, size_t>> places;
    for (Incoming& message : messages_) {
      for (size_t s = 0; s < message.segments.size(); ++s) {
        if (message.segments[s]) continue;
        keys.push_back(SegmentKey(message.key, s));
        places.emplace_back(&message, s);
      }
    }
    if (keys.empty()) return true;
    auto values = store_.WaitAll(keys, deadline);
    bool is_missing = false;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i]) Accept(*places[i].first, places[i].second, std::move(*values[i]));
      is_missing |= !values[i];
    }
    if (is_missing) return false;
  }
}

void MessageReader::Accept(Incoming& message, size_t segment, base::Blob bytes) const {
  if (segment == 0) {
    const uint64_t size_bytes = wire::MessageSizeBytes(bytes.span(), message.key);
    const uint64_t segment_size_bytes = store_.capabilities().value_size_max_bytes;
    if (size_bytes > bytes.size()) {
      if (bytes.size() != segment_size_bytes) {
        throw base::Error(
            base::ErrorCode::kCorrupt,
            fmt::format("{} in {}: {} bytes are neither the whole message of {} nor "
                        "a segment of {}",
                        message.key, store_.url(), bytes.size(), size_bytes, segment_size_bytes));
      }
      message.segments.resize(SegmentCount(size_bytes, segment_size_bytes));
    }
  }
  message.segments[segment] = std::move(bytes);
}

std::vector<std::optional<base::Blob>> MessageReader::Take() {
  std::vector<std::optional<base::Blob>> taken;
  for (Incoming& message : messages_) {
    auto& segments = message.segments;
    const bool is_complete =
        std::ranges::all_of(segments, [](const auto& segment) { return segment.has_value(); });
    if (!is_complete) {
      taken.emplace_back(std::nullopt);
    } else if (segments.size() == 1) {
      taken.push_back(std::move(segments.front()));
    } else {
      taken.emplace_back(Join(segments));
    }
  }
  return taken;
}

}  // namespace lambdaml::comm
