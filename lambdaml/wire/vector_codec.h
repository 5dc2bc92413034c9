// The message in which ranks exchange vectors: float64 scalars with a vector of float32 or float16,
// or plain bytes. Encoding and decoding are pure functions on bytes; decoding copies nothing.
//
// Format, version 1 (docs/wire-format.md). All numbers are little-endian; `pad` is zero bytes up to
// the next multiple of 64 from the start of the message, so that every array can be used in place.
//
//   message  = header body
//   header   = magic version checksum message_size round rank part
//              kind encoding note scalar_count element_count stored_count           ; 64 bytes
//   body     = scalars pad payload
//   scalars  = scalar_count * float64
//   payload  = dense | sparse | bytes | half_dense | half_sparse                    ; by encoding
//   dense    = element_count * float32
//   sparse   = stored_count * uint32 pad stored_count * float32      ; indices ascending, values
//   bytes    = element_count * byte
//   half_dense, half_sparse: as dense and sparse, with float16 for float32
//
//   offset  0  magic          "LMLV"        offset 40  kind           uint8   (MessageKind)
//           4  version        uint32  1             41  encoding       uint8   (Encoding)
//           8  checksum       uint64                42  note           uint16
//          16  message_size   uint64                44  scalar_count   uint32
//          24  round          uint64                48  element_count  uint64
//          32  rank           uint32                56  stored_count   uint64  (dense, bytes:
//          36  part           uint32                                            element_count)
//
// checksum is XXH3-64 of all bytes from offset 16 to the end. A vector is stored sparse if that is
// smaller: the elements whose bits are not all zero, so -0.0 and NaN keep their bits. The choice
// depends on the elements only. At most 2^32-1 elements.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/wire/float16.h"

namespace lambdaml::wire {

inline constexpr size_t kMessageHeaderSizeBytes = 64;

enum class MessageKind : uint8_t {
  kContribution = 1,  // a rank's own terms, for the rank that merges them
  kMerged = 2,        // the sum, for all ranks
  kGathered = 3,      // a rank's blob, for all ranks
  kModel = 4,         // a part of the shared model of asynchronous training
};

enum class Encoding : uint8_t {
  kDense = 1,
  kSparse = 2,
  kBytes = 3,
  kHalfDense = 4,
  kHalfSparse = 5
};

// What a message is about, the job aside.
struct MessageId {
  MessageKind kind = MessageKind::kContribution;
  uint64_t round = 0;
  uint32_t rank = 0;  // the writer
  uint32_t part = 0;  // the chunk of the vector, or the part of the model

  bool operator==(const MessageId&) const = default;
};

// Scalars and a vector in either form, owned by somebody else. Dense: `indices` is empty and
// `values` holds all elements. Sparse: values[k] is the element indices[k], all others are +0.
// Elements of float16 stand in `halves` instead of `values`.
struct VectorView {
  std::span<const double> scalars;
  uint64_t element_count = 0;
  bool is_sparse = false;
  std::span<const uint32_t> indices;
  std::span<const float> values;
  Precision precision = Precision::kFloat32;
  std::span<const uint16_t> halves = {};

  static VectorView Dense(std::span<const double> scalars, std::span<const float> vector) {
    return {scalars, vector.size(), false, {}, vector, Precision::kFloat32, {}};
  }
};

// A decoded message. The views point into `bytes`, which keeps them alive.
struct Message {
  MessageId id;
  uint16_t note = 0;
  VectorView vector;       // empty if the message carries plain bytes
  base::ByteSpan payload;  // empty if it carries a vector
  base::Blob bytes;
};

// A message in two parts that follow each other. The second may be empty.
struct MessageParts {
  base::ByteSpan head;
  base::ByteSpan payload;
};

// Writes messages into a buffer that is kept from one to the next. Threads: one.
class MessageEncoder {
 public:
  // The message; valid until the next call. Errors: kInvalidArgument beyond 2^32-1 elements.
  // `note` is a word from the writer to all readers that is no part of the vector. For float16 the
  // elements are rounded; those that do not fit become infinite.
  base::ByteSpan EncodeVector(const MessageId& id, std::span<const double> scalars,
                              std::span<const float> vector, uint16_t note = 0,
                              Precision precision = Precision::kFloat32);
  // The same message, but a dense vector of float32 is not copied: it is the second part. Valid,
  // too, until the vector changes.
  MessageParts EncodeVectorInParts(const MessageId& id, std::span<const double> scalars,
                                   std::span<const float> vector, uint16_t note = 0,
                                   Precision precision = Precision::kFloat32);
  // Memory for a vector which EncodeVector, called next with so many scalars and this vector, finds
  // where a message of float32 has it, and need not copy.
  std::span<float> VectorSpace(size_t scalar_count, size_t element_count);
  base::ByteSpan EncodeBytes(const MessageId& id, base::ByteSpan payload);

 private:
  struct Form {
    uint16_t note = 0;
    Precision precision = Precision::kFloat32;
  };
  MessageParts Encode(const MessageId& id, std::span<const double> scalars,
                      std::span<const float> vector, const Form& form, bool in_parts);
  std::byte* Reserve(size_t size_bytes);

  std::shared_ptr<std::byte[]> buffer_;  // base::NewBuffer's
  size_t capacity_bytes_ = 0;
};

// The checksum of a message, taken while its bytes arrive.
class MessageChecksum {
 public:
  void Add(base::ByteSpan next);
  uint64_t value() const { return checksum_.value(); }

 private:
  size_t uncovered_bytes_ = 16;  // at the start: what stands before the checksum, and itself
  base::RunningChecksum checksum_;
};

// Checks everything (sizes, version, checksum, order of indices) before giving out views. `origin`
// names the message in errors; `checksum` is MessageChecksum's, if somebody has taken it already.
// The elements of a dense message may stand apart, in `elements`.
// Errors: kCorrupt, for any bytes that break the grammar.
Message DecodeMessage(base::Blob bytes, std::string_view origin,
                      std::optional<uint64_t> checksum = std::nullopt,
                      std::span<const float> elements = {});

// The size of the whole message whose first bytes are given, at least a header. That the header
// agrees with itself is checked, the checksum not yet. Errors: kCorrupt.
uint64_t MessageSizeBytes(base::ByteSpan start, std::string_view origin);

// The size of a dense message; a sparse one is smaller.
uint64_t DenseSizeBytes(uint64_t scalar_count, uint64_t element_count,
                        Precision precision = Precision::kFloat32);

// Sets out[i] to element i of the vector. out.size() == vector.element_count.
void ExpandVector(const VectorView& vector, std::span<float> out);

}  // namespace lambdaml::wire
