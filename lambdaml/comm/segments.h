// Messages of any size over a store whose values have a largest size.
//
// A message up to value_size_max_bytes is one value under its key. A longer one is cut into
// segments of value_size_max_bytes, the last one shorter: segment 0 under the key itself, segment s
// under "<key>.s<s>". A reader learns from the message's header, in segment 0, how many there are;
// so keys stay known beforehand and nothing is ever listed.
//
// Requests: as many as segments, each way; reading more than one takes two steps instead of one. A
// store that can (Store::WaitAllInto) writes segments to their places in the whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/store/store.h"

namespace lambdaml::comm {

struct KeyedMessage {
  std::string key;
  base::ByteSpan message;  // as wire::MessageEncoder writes it
};

// Puts all messages, in parallel where the store gains by it. Returns the keys of all segments.
std::vector<std::string> PutMessages(store::Store& store, std::span<const KeyedMessage> messages,
                                     const base::Deadline& deadline);

// Puts one message unless there is one under its key already, which stays then. For messages that
// differ in their first segment only, if at all. Returns whether this one stands; *keys are those
// of all segments in either case.
bool PutMessageOnce(store::Store& store, const KeyedMessage& message,
                    const base::Deadline& deadline, std::vector<std::string>* keys);

// Reads several messages as they come. Threads: one.
class MessageReader {
 public:
  // A message to be read. Who knows how long it is at most spares it the copy of a segment.
  struct Expected {
    std::string key;
    uint64_t size_max_bytes = 0;  // 0: not known
  };

  // The store must live as long as the reader.
  MessageReader(store::Store& store, std::vector<Expected> messages);

  // Waits until all messages are complete; false if the deadline passed before. Called again it
  // goes on with what is missing. Errors: kCorrupt if a segment 0 does not start with a header;
  // those of the store.
  bool Wait(const base::Deadline& deadline);

  // Result i belongs to the message of that number and is nothing if it is not complete. Once.
  std::vector<std::optional<base::Blob>> Take();

 private:
  struct Incoming {
    std::string key;
    uint64_t size_bytes = 0;                   // 0 until segment 0 has come
    std::vector<bool> has_segment;             // one until segment 0 tells how many there are
    base::Blob whole = {};                     // a message of one segment
    std::shared_ptr<std::byte[]> memory = {};  // of more
    uint64_t capacity_bytes = 0;               // of memory
  };
  std::span<std::byte> PlaceOf(const Incoming& message, size_t segment) const;
  void Accept(Incoming& message, size_t segment, const base::Blob& bytes) const;
  void AcceptFirst(Incoming& message, base::ByteSpan bytes) const;

  store::Store& store_;
  std::vector<Incoming> messages_;
};

}  // namespace lambdaml::comm
