#include "lambdaml/comm/segments.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
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

void AddSegments(const store::Store& store, const KeyedMessage& message,
                 std::vector<store::KeyValue>& entries) {
  const uint64_t segment_size_bytes = store.capabilities().value_size_max_bytes;
  const base::ByteSpan bytes = message.message;
  for (uint64_t s = 0; s < SegmentCount(bytes.size(), segment_size_bytes); ++s) {
    const uint64_t begin = s * segment_size_bytes;
    const uint64_t size = std::min<uint64_t>(segment_size_bytes, bytes.size() - begin);
    entries.push_back({SegmentKey(message.key, s), bytes.subspan(begin, size)});
  }
}

std::vector<std::string> KeysOf(std::vector<store::KeyValue>& entries) {
  std::vector<std::string> keys;
  keys.reserve(entries.size());
  for (store::KeyValue& entry : entries) keys.push_back(std::move(entry.key));
  return keys;
}

}  // namespace

std::vector<std::string> PutMessages(store::Store& store, std::span<const KeyedMessage> messages,
                                     const base::Deadline& deadline) {
  std::vector<store::KeyValue> entries;
  for (const KeyedMessage& message : messages) AddSegments(store, message, entries);
  store.PutAll(entries, deadline);
  return KeysOf(entries);
}

bool PutMessageOnce(store::Store& store, const KeyedMessage& message,
                    const base::Deadline& deadline, std::vector<std::string>* keys) {
  std::vector<store::KeyValue> entries;
  AddSegments(store, message, entries);
  const std::span<const store::KeyValue> rest = std::span(entries).subspan(1);
  if (!rest.empty()) store.PutAll(rest, deadline);
  const store::KeyValue& first = entries.front();
  const bool is_first = store.PutIfAbsent(first.key, first.value, deadline);
  *keys = KeysOf(entries);
  return is_first;
}

MessageReader::MessageReader(store::Store& store, std::vector<Expected> messages) : store_(store) {
  for (Expected& expected : messages) {
    Incoming& message = messages_.emplace_back();
    message.key = std::move(expected.key);
    message.has_segment = {false};
    if (expected.size_max_bytes <= store_.capabilities().value_size_max_bytes) continue;
    message.memory = base::NewBuffer(expected.size_max_bytes);
    message.capacity_bytes = expected.size_max_bytes;
  }
}

bool MessageReader::Wait(const base::Deadline& deadline) {
  // At most twice: the first segments tell which others there are.
  while (true) {
    std::vector<std::string> keys;
    std::vector<std::span<std::byte>> places;
    std::vector<std::pair<Incoming*, size_t>> segments;
    for (Incoming& message : messages_) {
      for (size_t s = 0; s < message.has_segment.size(); ++s) {
        if (message.has_segment[s]) continue;
        keys.push_back(SegmentKey(message.key, s));
        places.push_back(PlaceOf(message, s));
        segments.emplace_back(&message, s);
      }
    }
    if (keys.empty()) return true;
    auto values = store_.WaitAllInto(keys, places, deadline);
    bool is_missing = false;
    for (size_t i = 0; i < values.size(); ++i) {
      if (values[i]) Accept(*segments[i].first, segments[i].second, *values[i]);
      is_missing |= !values[i];
    }
    if (is_missing) return false;
  }
}

// Of what is known of the message so far.
std::span<std::byte> MessageReader::PlaceOf(const Incoming& message, size_t segment) const {
  const uint64_t segment_size_bytes = store_.capabilities().value_size_max_bytes;
  const uint64_t begin = segment * segment_size_bytes;
  const uint64_t end = message.size_bytes == 0 ? message.capacity_bytes : message.size_bytes;
  if (begin >= end) return {};
  return {message.memory.get() + begin, std::min(segment_size_bytes, end - begin)};
}

void MessageReader::Accept(Incoming& message, size_t segment, const base::Blob& bytes) const {
  const auto memory = message.memory;  // where `bytes` may be, and which may be replaced
  if (segment == 0) AcceptFirst(message, bytes.span());
  message.has_segment[segment] = true;
  if (message.has_segment.size() == 1) {
    message.whole = bytes.data() == memory.get() ? base::Blob(bytes.span(), memory) : bytes;
    return;
  }
  const std::span<std::byte> place = PlaceOf(message, segment);
  if (bytes.size() != place.size()) {
    throw base::Error(base::ErrorCode::kCorrupt,
                      fmt::format("{} in {}: segment {} has {} bytes instead of {}", message.key,
                                  store_.url(), segment, bytes.size(), place.size()));
  }
  if (bytes.data() != place.data()) std::ranges::copy(bytes.span(), place.begin());
}

void MessageReader::AcceptFirst(Incoming& message, base::ByteSpan bytes) const {
  message.size_bytes = wire::MessageSizeBytes(bytes, message.key);
  if (message.size_bytes <= bytes.size()) return;
  const uint64_t segment_size_bytes = store_.capabilities().value_size_max_bytes;
  if (bytes.size() != segment_size_bytes) {
    throw base::Error(base::ErrorCode::kCorrupt,
                      fmt::format("{} in {}: {} bytes are neither the whole message of {} nor "
                                  "a segment of {}",
                                  message.key, store_.url(), bytes.size(), message.size_bytes,
                                  segment_size_bytes));
  }
  message.has_segment.resize(SegmentCount(message.size_bytes, segment_size_bytes));
  if (message.capacity_bytes >= message.size_bytes) return;
  message.memory = base::NewBuffer(message.size_bytes);
  message.capacity_bytes = message.size_bytes;
}

std::vector<std::optional<base::Blob>> MessageReader::Take() {
  std::vector<std::optional<base::Blob>> taken;
  for (Incoming& message : messages_) {
    const bool is_complete = std::ranges::all_of(message.has_segment, std::identity());
    if (!is_complete) {
      taken.emplace_back(std::nullopt);
    } else if (message.has_segment.size() == 1) {
      taken.emplace_back(std::move(message.whole));
    } else {
      const base::ByteSpan bytes(message.memory.get(), message.size_bytes);
      taken.emplace_back(base::Blob(bytes, std::move(message.memory)));
    }
  }
  return taken;
}

}  // namespace lambdaml::comm
