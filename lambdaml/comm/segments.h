// Messages of any size over a store whose values have a largest size.
//
// A message up to value_size_max_bytes is one value under its key. A longer one is cut into
// segments of value_size_max_bytes, the last one shorter: segment 0 under the key itself, segment s
// under "<key>.s<s>". A reader learns from the message's header, in segment 0, how many there are;
// so keys stay known beforehand and nothing is ever listed.
//
// Requests: as many as segments, each way; reading more than one takes two steps instead of one.
#pragma once

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

// Waits for all messages; result i belongs to keys[i] and is nothing if the deadline passed before
// all of its segments were there. Errors: kCorrupt if segment 0 does not start with a header.
std::vector<std::optional<base::Blob>> WaitForMessages(store::Store& store,
                                                       std::span<const std::string> keys,
                                                       const base::Deadline& deadline);

}  // namespace lambdaml::comm
