#include "lambdaml/wire/vector_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/check.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

static_assert(std::endian::native == std::endian::little, "messages are views of memory");
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

constexpr uint64_t kAlignment = 64;
constexpr uint64_t kElementCountMax = std::numeric_limits<uint32_t>::max();
constexpr std::array<char, 4> kMagic = {'L', 'M', 'L', 'V'};
constexpr uint32_t kVersion = 1;

struct Header {
  std::array<char, 4> magic = kMagic;
  uint32_t version = kVersion;
  uint64_t checksum = 0;
  uint64_t message_size = 0;
  uint64_t round = 0;
  uint32_t rank = 0;
  uint32_t part = 0;
  uint8_t kind = 0;
  uint8_t encoding = 0;
  uint16_t note = 0;
  uint32_t scalar_count = 0;
  uint64_t element_count = 0;
  uint64_t stored_count = 0;
};
static_assert(sizeof(Header) == kMessageHeaderSizeBytes);
constexpr size_t kChecksummedFrom = 16;
static_assert(kChecksummedFrom == offsetof(Header, message_size));

constexpr uint64_t Aligned(uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

constexpr uint64_t SizeOfElement(Precision precision) {
  return precision == Precision::kFloat16 ? sizeof(uint16_t) : sizeof(float);
}

constexpr Encoding EncodingOf(Precision precision, bool is_sparse) {
  if (precision == Precision::kFloat16) {
    return is_sparse ? Encoding::kHalfSparse : Encoding::kHalfDense;
  }
  return is_sparse ? Encoding::kSparse : Encoding::kDense;
}

constexpr bool IsSparse(Encoding encoding) {
  return encoding == Encoding::kSparse || encoding == Encoding::kHalfSparse;
}

constexpr Precision PrecisionOf(Encoding encoding) {
  const bool is_half = encoding == Encoding::kHalfDense || encoding == Encoding::kHalfSparse;
  return is_half ? Precision::kFloat16 : Precision::kFloat32;
}

// Where the arrays of a message stand. Counts are at most 2^33, so nothing overflows.
struct Layout {
  uint64_t scalars = kMessageHeaderSizeBytes;
  uint64_t scalars_end = 0;
  uint64_t payload = 0;
  uint64_t indices_end = 0;  // sparse only, else == payload
  uint64_t values = 0;       // == payload unless sparse
  uint64_t end = 0;

  Layout(Encoding encoding, uint64_t scalar_count, uint64_t stored_count) {
    scalars_end = scalars + scalar_count * sizeof(double);
    payload = Aligned(scalars_end);
    indices_end = payload;
    if (IsSparse(encoding)) indices_end += stored_count * sizeof(uint32_t);
    values = Aligned(indices_end);
    end = values +
          stored_count * (encoding == Encoding::kBytes ? 1 : SizeOfElement(PrecisionOf(encoding)));
  }
};

bool IsStored(float value) { return std::bit_cast<uint32_t>(value) != 0; }

// The number of elements to store, or `limit` as soon as it is reached.
uint64_t CountStored(std::span<const float> vector, uint64_t limit) {
  constexpr size_t kBlock = 4096;
  uint64_t count = 0;
  while (!vector.empty() && count < limit) {
    const auto block = vector.first(std::min(kBlock, vector.size()));
    uint32_t block_count = 0;
    for (const float value : block) block_count += IsStored(value) ? 1U : 0U;
    count += block_count;
    vector = vector.subspan(block.size());
  }
  return std::min(count, limit);
}

void CopyBytes(std::byte* to, const void* from, size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(to, from, size_bytes);  // a null `from` is not allowed, even then
}

// Writes elements one after the other to `to`, which is aligned for them.
void WriteValues(std::span<const float> from, Precision precision, std::byte* to) {
  if (precision == Precision::kFloat32) return CopyBytes(to, from.data(), from.size_bytes());
  Float16().narrow(from, {reinterpret_cast<uint16_t*>(to), from.size()});
}

void WriteSparse(std::span<const float> vector, Precision precision, std::byte* indices,
                 std::byte* values) {
  for (size_t i = 0; i < vector.size(); ++i) {
    if (!IsStored(vector[i])) continue;
    const auto index = static_cast<uint32_t>(i);
    std::memcpy(indices, &index, sizeof(index));
    if (precision == Precision::kFloat32) {
      std::memcpy(values, &vector[i], sizeof(float));
    } else {
      WriteValues(vector.subspan(i, 1), precision, values);
    }
    indices += sizeof(index);
    values += SizeOfElement(precision);
  }
}

void Zero(std::byte* message, uint64_t begin, uint64_t end) {
  std::fill(message + begin, message + end, std::byte{0});
}

// Fills in header, scalars, padding and checksum of a message whose payload stands already: in its
// place, or apart.
MessageParts Finish(std::byte* message, const Layout& layout, Header header, const MessageId& id,
                    std::span<const double> scalars, base::ByteSpan apart = {}) {
  header.message_size = layout.end;
  header.round = id.round;
  header.rank = id.rank;
  header.part = id.part;
  header.kind = static_cast<uint8_t>(id.kind);
  header.scalar_count = static_cast<uint32_t>(scalars.size());
  std::memcpy(message, &header, sizeof(header));
  CopyBytes(message + layout.scalars, scalars.data(), scalars.size_bytes());
  Zero(message, layout.scalars_end, layout.payload);
  Zero(message, layout.indices_end, layout.values);

  const base::ByteSpan head(message, layout.end - apart.size());
  MessageChecksum checksum;
  checksum.Add(head);
  checksum.Add(apart);
  header.checksum = checksum.value();
  std::memcpy(message, &header, sizeof(header));
  return {head, apart};
}

[[noreturn]] void ThrowCorrupt(std::string_view origin, std::string_view cause) {
  throw base::Error(base::ErrorCode::kCorrupt, fmt::format("{}: {}", origin, cause));
}

Header ReadHeader(base::ByteSpan bytes, std::string_view origin) {
  if (bytes.size() < sizeof(Header)) {
    ThrowCorrupt(origin, fmt::format("{} bytes are no message, its header alone has {}",
                                     bytes.size(), sizeof(Header)));
  }
  Header header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic) ThrowCorrupt(origin, "it does not start with \"LMLV\"");
  if (header.version != kVersion) {
    ThrowCorrupt(origin, fmt::format("its format has version {}, this program reads {}",
                                     header.version, kVersion));
  }
  return header;
}

// Checks the fields against each other and against the size of the message.
Layout CheckHeader(const Header& header, size_t size_bytes, std::string_view origin) {
  if (header.message_size != size_bytes) {
    ThrowCorrupt(origin, fmt::format("it has {} bytes where its header says {}", size_bytes,
                                     header.message_size));
  }
  const bool is_kind_known = header.kind >= 1 && header.kind <= 4;
  const bool is_encoding_known = header.encoding >= 1 && header.encoding <= 5;
  if (!is_kind_known || !is_encoding_known) {
    ThrowCorrupt(origin, "its header has an unknown kind or encoding");
  }
  const auto encoding = static_cast<Encoding>(header.encoding);
  const bool is_partly_stored = IsSparse(encoding);
  const uint64_t element_count_max = encoding == Encoding::kBytes ? size_bytes : kElementCountMax;
  if (header.element_count > element_count_max || header.stored_count > header.element_count ||
      (!is_partly_stored && header.stored_count != header.element_count) ||
      (encoding == Encoding::kBytes && header.scalar_count != 0)) {
    ThrowCorrupt(origin, "its header's counts contradict each other");
  }
  const Layout layout(encoding, header.scalar_count, header.stored_count);
  if (layout.end != size_bytes) {
    ThrowCorrupt(origin,
                 fmt::format("its counts ask for {} bytes, it has {}", layout.end, size_bytes));
  }
  return layout;
}

void CheckPadding(base::ByteSpan bytes, uint64_t begin, uint64_t end, std::string_view origin) {
  const auto padding = bytes.subspan(begin, end - begin);
  if (!std::ranges::all_of(padding, [](std::byte byte) { return byte == std::byte{0}; })) {
    ThrowCorrupt(origin, "its padding is not zero");
  }
}

template <typename T>
std::span<const T> ViewAs(const std::byte* data, uint64_t count) {
  return {reinterpret_cast<const T*>(data), static_cast<size_t>(count)};
}

void CheckIndices(const VectorView& vector, std::string_view origin) {
  bool is_ascending = true;
  for (size_t k = 1; k < vector.indices.size(); ++k) {
    is_ascending &= vector.indices[k - 1] < vector.indices[k];
  }
  if (!is_ascending) ThrowCorrupt(origin, "its indices do not ascend");
  if (!vector.indices.empty() && vector.indices.back() >= vector.element_count) {
    ThrowCorrupt(origin, fmt::format("index {} exceeds its {} elements", vector.indices.back(),
                                     vector.element_count));
  }
}

}  // namespace

std::byte* MessageEncoder::Reserve(size_t size_bytes) {
  if (capacity_bytes_ < size_bytes) {
    buffer_ = base::NewBuffer(size_bytes);
    capacity_bytes_ = size_bytes;
  }
  return buffer_.get();
}

std::span<float> MessageEncoder::VectorSpace(size_t scalar_count, size_t element_count) {
  const Layout dense(Encoding::kDense, scalar_count, element_count);
  return {reinterpret_cast<float*>(Reserve(dense.end) + dense.values), element_count};
}

base::ByteSpan MessageEncoder::EncodeVector(const MessageId& id, std::span<const double> scalars,
                                            std::span<const float> vector, uint16_t note,
                                            Precision precision) {
  return Encode(id, scalars, vector, {note, precision}, false).head;
}

MessageParts MessageEncoder::EncodeVectorInParts(const MessageId& id,
                                                 std::span<const double> scalars,
                                                 std::span<const float> vector, uint16_t note,
                                                 Precision precision) {
  return Encode(id, scalars, vector, {note, precision}, true);
}

MessageParts MessageEncoder::Encode(const MessageId& id, std::span<const double> scalars,
                                    std::span<const float> vector, const Form& form,
                                    bool in_parts) {
  const auto [note, precision] = form;
  if (vector.size() > kElementCountMax || scalars.size() > kElementCountMax) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("a message holds at most {} elements", kElementCountMax));
  }
  const Layout dense(EncodingOf(precision, false), scalars.size(), vector.size());
  // Sparse needs 4 bytes more an element and can only win below half of the elements.
  const uint64_t stored_count = CountStored(vector, vector.size() / 2 + 1);
  const Layout sparse(EncodingOf(precision, true), scalars.size(), stored_count);
  const bool is_sparse = sparse.end < dense.end;
  const Layout& layout = is_sparse ? sparse : dense;

  const base::ByteSpan elements = std::as_bytes(vector);
  // A vector that begins behind the end of a shorter buffer is somebody else's.
  const bool is_in_place = capacity_bytes_ >= dense.values + elements.size() &&
                           elements.data() == buffer_.get() + dense.values;
  const bool is_half = precision == Precision::kFloat16;
  const bool is_apart = in_parts && !is_sparse && !is_half && !is_in_place;
  std::shared_ptr<std::byte[]> source;
  if ((is_sparse || is_half) && is_in_place) {
    source = std::exchange(buffer_, nullptr);
    capacity_bytes_ = 0;
  }
  std::byte* message = Reserve(is_apart ? layout.values : layout.end);
  if (is_sparse) {
    WriteSparse(vector, precision, message + layout.payload, message + layout.values);
  } else if (is_half || (!is_apart && !is_in_place)) {
    WriteValues(vector, precision, message + layout.values);
  }
  Header header;
  header.encoding = static_cast<uint8_t>(EncodingOf(precision, is_sparse));
  header.note = note;
  header.element_count = vector.size();
  header.stored_count = is_sparse ? stored_count : vector.size();
  return Finish(message, layout, header, id, scalars, is_apart ? elements : base::ByteSpan());
}

base::ByteSpan MessageEncoder::EncodeBytes(const MessageId& id, base::ByteSpan payload) {
  const Layout layout(Encoding::kBytes, 0, payload.size());
  std::byte* message = Reserve(layout.end);
  CopyBytes(message + layout.payload, payload.data(), payload.size());
  Header header;
  header.encoding = static_cast<uint8_t>(Encoding::kBytes);
  header.element_count = payload.size();
  header.stored_count = payload.size();
  return Finish(message, layout, header, id, {}).head;
}

void MessageChecksum::Add(base::ByteSpan next) {
  const size_t uncovered = std::min(next.size(), uncovered_bytes_);
  uncovered_bytes_ -= uncovered;
  checksum_.Add(next.subspan(uncovered));
}

Message DecodeMessage(base::Blob bytes, std::string_view origin, std::optional<uint64_t> checksum,
                      std::span<const float> elements) {
  if (std::bit_cast<uintptr_t>(bytes.data()) % alignof(double) != 0) {
    bytes = base::Blob::Copy(bytes.span());
  }
  const base::ByteSpan span = bytes.span();
  const Header header = ReadHeader(span, origin);
  const base::ByteSpan apart = std::as_bytes(elements);
  const Layout layout = CheckHeader(header, span.size() + apart.size(), origin);
  const auto encoding = static_cast<Encoding>(header.encoding);
  if (!apart.empty() && (encoding != Encoding::kDense || layout.payload != span.size())) {
    ThrowCorrupt(origin, "its elements do not stand where its header says");
  }
  if (!checksum) {
    MessageChecksum of_both;
    of_both.Add(span);
    of_both.Add(apart);
    checksum = of_both.value();
  }
  if (*checksum != header.checksum) {
    ThrowCorrupt(origin, "its checksum is wrong: it was damaged on the way or in the store");
  }
  CheckPadding(span, layout.scalars_end, layout.payload, origin);
  CheckPadding(span, layout.indices_end, layout.values, origin);

  Message message;
  message.id = {static_cast<MessageKind>(header.kind), header.round, header.rank, header.part};
  message.note = header.note;
  if (encoding == Encoding::kBytes) {
    message.payload = span.subspan(layout.payload);
  } else {
    VectorView& vector = message.vector;
    vector.scalars = ViewAs<double>(span.data() + layout.scalars, header.scalar_count);
    vector.element_count = header.element_count;
    vector.is_sparse = IsSparse(encoding);
    vector.precision = PrecisionOf(encoding);
    if (vector.precision == Precision::kFloat16) {
      vector.halves = ViewAs<uint16_t>(span.data() + layout.values, header.stored_count);
    } else if (apart.empty()) {
      vector.values = ViewAs<float>(span.data() + layout.values, header.stored_count);
    } else {
      vector.values = elements;
    }
    if (vector.is_sparse) {
      vector.indices = ViewAs<uint32_t>(span.data() + layout.payload, header.stored_count);
      CheckIndices(vector, origin);
    }
  }
  message.bytes = std::move(bytes);
  return message;
}

uint64_t MessageSizeBytes(base::ByteSpan start, std::string_view origin) {
  const Header header = ReadHeader(start, origin);
  CheckHeader(header, header.message_size, origin);
  return header.message_size;
}

uint64_t DenseSizeBytes(uint64_t scalar_count, uint64_t element_count, Precision precision) {
  return Layout(EncodingOf(precision, false), scalar_count, element_count).end;
}

void ExpandVector(const VectorView& vector, std::span<float> out) {
  LAMBDAML_CHECK(out.size() == vector.element_count);
  const bool is_half = vector.precision == Precision::kFloat16;
  if (!vector.is_sparse) {
    if (is_half) return Float16().widen(vector.halves, out);
    std::ranges::copy(vector.values, out.begin());
    return;
  }
  std::ranges::fill(out, 0.0F);
  for (size_t k = 0; k < vector.indices.size(); ++k) {
    out[vector.indices[k]] = is_half ? Widened(vector.halves[k]) : vector.values[k];
  }
}

}  // namespace lambdaml::wire
