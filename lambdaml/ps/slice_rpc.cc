#include "lambdaml/ps/slice_rpc.h"

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <thrift/protocol/TProtocol.h>
#include <thrift/transport/TTransport.h>
#include <utility>

#include "lambdaml/ps/rpc/ps_types.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::protocol::T_BOOL;
using apache::thrift::protocol::T_I32;
using apache::thrift::protocol::T_I64;
using apache::thrift::protocol::T_LIST;
using apache::thrift::protocol::T_STOP;
using apache::thrift::protocol::T_STRING;
using apache::thrift::protocol::T_STRUCT;
using apache::thrift::protocol::TProtocolException;
using apache::thrift::protocol::TType;
using apache::thrift::transport::TTransportException;

constexpr size_t kReadMaxBytes = 256 << 10;  // at once: what stays in a core's cache
constexpr size_t kInPlaceMinBytes = 64 << 10;
constexpr int16_t kArgumentId = 1;
constexpr int16_t kSuccessId = 0;
constexpr int16_t kRefusalId = 1;

// Calls read(id, type) for each field of a struct; it returns false for one that it does not know.
template <typename ReadField>
void ReadStruct(TProtocol& protocol, const ReadField& read) {
  std::string name;
  protocol.readStructBegin(name);
  for (;;) {
    TType type = T_STOP;
    int16_t id = 0;
    protocol.readFieldBegin(name, type, id);
    if (type == T_STOP) break;
    if (!read(id, type)) protocol.skip(type);
    protocol.readFieldEnd();
  }
  protocol.readStructEnd();
}

int32_t ReadI32(TProtocol& protocol) {
  int32_t value = 0;
  protocol.readI32(value);
  return value;
}

uint64_t ReadU64(TProtocol& protocol) {
  int64_t value = 0;
  protocol.readI64(value);
  return static_cast<uint64_t>(value);
}

void Discard(apache::thrift::transport::TTransport& transport, size_t size) {
  std::array<uint8_t, 16384> scratch;
  while (size > 0) {
    const size_t count = std::min(size, scratch.size());
    transport.readAll(scratch.data(), static_cast<uint32_t>(count));
    size -= count;
  }
}

// Takes the checksum while the bytes are still in the cache, and while more are on their way.
void ReadInto(TProtocol& protocol, std::span<std::byte> into, wire::MessageChecksum& checksum) {
  while (!into.empty()) {
    const auto size = static_cast<uint32_t>(std::min(into.size(), kReadMaxBytes));
    const uint32_t count =
        protocol.getTransport()->read(reinterpret_cast<uint8_t*>(into.data()), size);
    if (count == 0) throw TTransportException(TTransportException::END_OF_FILE);
    checksum.Add(into.first(count));
    into = into.subspan(count);
  }
}

uint32_t ReadMessageSize(TProtocol& protocol) {
  const int32_t size = ReadI32(protocol);
  if (size < 0) throw TProtocolException(TProtocolException::NEGATIVE_SIZE);
  return static_cast<uint32_t>(size);
}

void ReadMessage(TProtocol& protocol, const MessageMemory& memory, SliceCall& call,
                 std::optional<base::Error>* refusal) {
  const uint32_t size = ReadMessageSize(protocol);
  std::shared_ptr<std::byte[]> bytes;
  try {
    bytes = memory(size);
  } catch (const base::Error& error) {
    *refusal = error;
    Discard(*protocol.getTransport(), size);
    return;
  }
  wire::MessageChecksum checksum;
  const std::span<std::byte> span(bytes.get(), size);
  ReadInto(protocol, span, checksum);
  call.message.emplace(span, std::move(bytes));
  call.message_checksum = checksum.value();
}

void ReadMessage(TProtocol& protocol, const MessageMemory& memory, AnswerPlace* place,
                 SliceAnswer& answer) {
  const uint32_t size = ReadMessageSize(protocol);
  std::span<float> elements;
  if (place != nullptr && place->elements.size_bytes() >= kInPlaceMinBytes &&
      wire::DenseSizeBytes(place->scalar_count, place->elements.size()) == size) {
    elements = place->elements;
  }
  const size_t head_size = size - elements.size_bytes();
  std::shared_ptr<std::byte[]> bytes = memory(head_size);
  wire::MessageChecksum checksum;
  const std::span<std::byte> span(bytes.get(), head_size);
  ReadInto(protocol, span, checksum);
  if (!elements.empty()) place->is_touched = true;
  ReadInto(protocol, std::as_writable_bytes(elements), checksum);
  answer.message = base::Blob(span, std::move(bytes));
  answer.elements = elements;
  answer.message_checksum = checksum.value();
}

void WriteBytes(TProtocol& protocol, base::ByteSpan bytes) {
  if (bytes.empty()) return;
  protocol.getTransport()->write(reinterpret_cast<const uint8_t*>(bytes.data()),
                                 static_cast<uint32_t>(bytes.size()));
}

void WriteI32Field(TProtocol& protocol, const char* name, int16_t id, int32_t value) {
  protocol.writeFieldBegin(name, T_I32, id);
  protocol.writeI32(value);
  protocol.writeFieldEnd();
}

void WriteI64Field(TProtocol& protocol, const char* name, int16_t id, uint64_t value) {
  protocol.writeFieldBegin(name, T_I64, id);
  protocol.writeI64(static_cast<int64_t>(value));
  protocol.writeFieldEnd();
}

void WriteMessageField(TProtocol& protocol, int16_t id, base::ByteSpan message,
                       base::ByteSpan rest = {}) {
  protocol.writeFieldBegin("message", T_STRING, id);
  protocol.writeI32(static_cast<int32_t>(message.size() + rest.size()));
  WriteBytes(protocol, message);
  WriteBytes(protocol, rest);
  protocol.writeFieldEnd();
}

void WriteEnd(TProtocol& protocol) {
  protocol.writeFieldStop();
  protocol.writeStructEnd();
}

SliceCall ReadSlice(TProtocol& protocol, const MessageMemory& memory,
                    std::optional<base::Error>* refusal) {
  SliceCall call;
  call.slice_count = 0;
  ReadStruct(protocol, [&](int16_t id, TType type) {
    if (id == 1 && type == T_STRING) {
      protocol.readString(call.job);
    } else if (id == 2 && type == T_I64) {
      call.round.generation = ReadU64(protocol);
    } else if (id == 3 && type == T_I64) {
      call.round.round = ReadU64(protocol);
    } else if (id == 4 && type == T_I32) {
      call.rank = ReadI32(protocol);
    } else if (id == 5 && type == T_I32) {
      call.slice = static_cast<uint32_t>(ReadI32(protocol));
    } else if (id == 6 && type == T_I32) {
      call.slice_count = static_cast<uint32_t>(ReadI32(protocol));
    } else if (id == 7 && type == T_I64) {
      call.announcement = ReadU64(protocol);
    } else if (id == 8 && type == T_I32) {
      call.wait = std::chrono::milliseconds(std::max(0, ReadI32(protocol)));
    } else if (id == 9 && type == T_STRING) {
      ReadMessage(protocol, memory, call, refusal);
    } else {
      return false;
    }
    return true;
  });
  return call;
}

std::vector<int> ReadRanks(TProtocol& protocol) {
  TType type = T_STOP;
  uint32_t count = 0;
  protocol.readListBegin(type, count);
  if (type != T_I32 || count > static_cast<uint32_t>(kWorkerCountMax)) {
    throw TProtocolException(TProtocolException::INVALID_DATA);
  }
  std::vector<int> ranks;
  for (uint32_t i = 0; i < count; ++i) ranks.push_back(ReadI32(protocol));
  protocol.readListEnd();
  return ranks;
}

SliceAnswer ReadAnswer(TProtocol& protocol, const MessageMemory& memory, AnswerPlace* place) {
  SliceAnswer answer;
  ReadStruct(protocol, [&](int16_t id, TType type) {
    if (id == 1 && type == T_BOOL) {
      protocol.readBool(answer.is_complete);
    } else if (id == 2 && type == T_LIST) {
      answer.missing_ranks = ReadRanks(protocol);
    } else if (id == 3 && type == T_I64) {
      answer.announcement = ReadU64(protocol);
    } else if (id == 4 && type == T_STRING) {
      ReadMessage(protocol, memory, place, answer);
    } else {
      return false;
    }
    return true;
  });
  return answer;
}

}  // namespace

void WriteSliceArguments(TProtocol& protocol, const SliceCall& call) {
  protocol.writeStructBegin("exchange_args");
  protocol.writeFieldBegin("slice", T_STRUCT, kArgumentId);
  protocol.writeStructBegin("Slice");
  protocol.writeFieldBegin("job", T_STRING, 1);
  protocol.writeString(call.job);
  protocol.writeFieldEnd();
  WriteI64Field(protocol, "generation", 2, call.round.generation);
  WriteI64Field(protocol, "round", 3, call.round.round);
  WriteI32Field(protocol, "rank", 4, call.rank);
  WriteI32Field(protocol, "slice", 5, static_cast<int32_t>(call.slice));
  WriteI32Field(protocol, "slice_count", 6, static_cast<int32_t>(call.slice_count));
  WriteI64Field(protocol, "announcement", 7, call.announcement);
  const auto wait_ms = std::chrono::ceil<std::chrono::milliseconds>(call.wait).count();
  WriteI32Field(
      protocol, "wait_ms", 8,
      static_cast<int32_t>(std::clamp<int64_t>(wait_ms, 0, std::numeric_limits<int32_t>::max())));
  if (call.message) WriteMessageField(protocol, 9, call.message->span(), call.message_rest);
  WriteEnd(protocol);
  protocol.writeFieldEnd();
  WriteEnd(protocol);
}

SliceCall ReadSliceArguments(TProtocol& protocol, const MessageMemory& memory,
                             std::optional<base::Error>* refusal) {
  SliceCall call;
  ReadStruct(protocol, [&](int16_t id, TType type) {
    if (id != kArgumentId || type != T_STRUCT) return false;
    call = ReadSlice(protocol, memory, refusal);
    return true;
  });
  return call;
}

void WriteSliceAnswer(TProtocol& protocol, const SliceAnswer& answer) {
  protocol.writeStructBegin("exchange_result");
  protocol.writeFieldBegin("success", T_STRUCT, kSuccessId);
  protocol.writeStructBegin("Answer");
  protocol.writeFieldBegin("is_complete", T_BOOL, 1);
  protocol.writeBool(answer.is_complete);
  protocol.writeFieldEnd();
  protocol.writeFieldBegin("missing_ranks", T_LIST, 2);
  protocol.writeListBegin(T_I32, static_cast<uint32_t>(answer.missing_ranks.size()));
  for (const int rank : answer.missing_ranks) protocol.writeI32(rank);
  protocol.writeListEnd();
  protocol.writeFieldEnd();
  WriteI64Field(protocol, "announcement", 3, answer.announcement);
  if (answer.message.size() > 0) WriteMessageField(protocol, 4, answer.message.span());
  WriteEnd(protocol);
  protocol.writeFieldEnd();
  WriteEnd(protocol);
}

void WriteSliceRefusal(TProtocol& protocol, const base::Error& refusal) {
  protocol.writeStructBegin("exchange_result");
  protocol.writeFieldBegin("refusal", T_STRUCT, kRefusalId);
  rpc::Refusal thrown;
  thrown.code = base::ErrorCodeName(refusal.code());
  thrown.why = refusal.message();
  thrown.write(&protocol);
  protocol.writeFieldEnd();
  WriteEnd(protocol);
}

SliceAnswer ReadSliceAnswer(TProtocol& protocol, const MessageMemory& memory, AnswerPlace* place) {
  std::optional<SliceAnswer> answer;
  std::optional<rpc::Refusal> refusal;
  ReadStruct(protocol, [&](int16_t id, TType type) {
    if (id == kSuccessId && type == T_STRUCT) {
      answer = ReadAnswer(protocol, memory, place);
    } else if (id == kRefusalId && type == T_STRUCT) {
      refusal.emplace().read(&protocol);
    } else {
      return false;
    }
    return true;
  });
  if (refusal) throw rpc::Refusal(*refusal);
  if (!answer) throw TProtocolException(TProtocolException::INVALID_DATA);
  return *std::move(answer);
}

}  // namespace lambdaml::ps
