// One call about one slice, as the server and the client know it, whatever carries it: the Thrift
// structs Slice and Answer of ps.thrift without Thrift.
//
// A vector travels in slices, each a message of its own (wire/vector_codec.h): slice s holds the
// elements from s·L on, and slice 0 the scalars too.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::ps {

inline constexpr uint32_t kSliceCountMax = 1 << 20;
inline constexpr int kWorkerCountMax = 10'000;

// Rounds are ordered by generation, then by number.
struct RoundId {
  uint64_t generation = 0;
  uint64_t round = 0;

  auto operator<=>(const RoundId&) const = default;  // NOLINT(modernize-use-nullptr): no pointer
};

struct SliceCall {
  std::string job = {};
  RoundId round = {};
  int rank = 0;
  uint32_t slice = 0;
  uint32_t slice_count = 1;
  uint64_t announcement = 0;
  base::Duration wait = {};
  std::optional<base::Blob> message = {};
  base::ByteSpan message_rest = {};  // of a message to be sent that stands in two places
  std::optional<uint64_t> message_checksum = {};  // wire::MessageChecksum's, of one received
};

// Where a client wants the elements of a dense answer: straight from the socket.
struct AnswerPlace {
  size_t scalar_count = 0;
  std::span<float> elements = {};
  bool is_touched = false;  // elements have been written: what was there before is gone
};

struct SliceAnswer {
  bool is_complete = false;
  std::vector<int> missing_ranks = {};
  uint64_t announcement = 0;
  base::Blob message = {};
  std::span<const float> elements = {};           // of a message that has them in AnswerPlace
  std::optional<uint64_t> message_checksum = {};  // of one received
};

struct JobSpec {
  std::string job = {};
  int worker_count = 1;
  bool keeps_rounds = false;
  bool must_be_new = false;
};

struct JobState {
  uint64_t incarnation = 0;
  bool is_new = false;
};

// Errors: kInvalidArgument if the name is not 1..120 of [A-Za-z0-9._-], starting with none of
// "._-".
void CheckJobName(const std::string& job);

}  // namespace lambdaml::ps
