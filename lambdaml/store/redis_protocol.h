// The protocol of Redis, RESP: requests, and the replies to them.
//
// hiredis parses replies. Two things are done around it. A value, the one reply that is large, is
// read straight to where it will stay. And of RESP3, which brings the server's pushes but which
// hiredis knows only from 1.0 on, the headers that Redis uses are turned into their likes of RESP2.
// Source: the Redis serialization protocol specification,
// https://redis.io/docs/reference/protocol-spec.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/net/stream.h"

namespace lambdaml::store {

// Commands that go out together. Arguments are sent as arrays of byte strings, so nothing in a key
// or a value can be taken for a command.
class RedisRequest {
 public:
  void Add(std::initializer_list<std::string_view> arguments);
  // SET of the concatenation of `head` and `value`. `value` is not copied: it must live until the
  // request is sent.
  void AddSet(std::string_view key, base::ByteSpan head, base::ByteSpan value,
              std::span<const std::string_view> options);

  // What to write. Valid as long as the request is not changed.
  std::vector<base::ByteSpan> Parts() const;

 private:
  void AppendArgument(std::string_view argument);

  struct Insertion {
    size_t at;  // of text_
    base::ByteSpan value;
  };
  std::string text_;
  std::vector<Insertion> insertions_;  // values, by their place in text_
};

struct RedisReply {
  enum class Type { kNil, kStatus, kError, kInteger, kBulk, kArray };

  Type type = Type::kNil;
  bool is_push = false;  // sent by the server on its own account; an array
  int64_t integer = 0;
  std::string text;                  // of kStatus and kError
  base::Blob bulk;                   // of kBulk
  std::vector<RedisReply> elements;  // of kArray; RESP3's maps are arrays of keys and values

  bool IsError(std::string_view start) const {
    return type == Type::kError && text.starts_with(start);
  }
};

// Reads one reply, whose values have at most value_size_max_bytes.
// Errors: those of the stream; kUnavailable if what comes is not the protocol.
RedisReply ReadRedisReply(net::Stream& stream, uint64_t value_size_max_bytes,
                          const base::Deadline& deadline);

}  // namespace lambdaml::store
