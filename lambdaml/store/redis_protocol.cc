#include "lambdaml/store/redis_protocol.h"

#include <array>
#include <charconv>
#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <memory>
#include <optional>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using base::ByteSpan;
using base::Deadline;
using base::Error;
using base::ErrorCode;

constexpr size_t kLineSizeMaxBytes = 64 * 1024;
// Of replies that are not one value: pages of keys, INFO, CONFIG GET, pushes.
constexpr int64_t kArraySizeMax = 1'000'000;
constexpr uint64_t kArraySizeMaxBytes = 256 << 20;

constexpr std::string_view kLineEnd = "\r\n";

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
using Reader = std::unique_ptr<redisReader, FreeReader>;

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using ParsedReply = std::unique_ptr<redisReply, FreeReply>;

[[noreturn]] void RefuseLine(const net::Stream& stream, std::string_view line) {
  constexpr size_t kShownMax = 40;
  std::string shown(line.substr(0, kShownMax));
  for (char& c : shown) c = c < ' ' || c > '~' ? '?' : c;
  throw Error(
      ErrorCode::kUnavailable,
      fmt::format("{}: does not speak the Redis protocol: it sent \"{}\"", stream.place(), shown));
}

// The number after the type character of a header.
int64_t NumberOf(const net::Stream& stream, std::string_view line) {
  int64_t number = 0;
  const char* const last = line.data() + line.size();
  const auto [end, error] = std::from_chars(line.data() + 1, last, number);
  if (error != std::errc() || end != last) RefuseLine(stream, line);
  return number;
}

// The size of the byte string that a header announces, or nothing for the null one.
std::optional<uint64_t> BulkSize(const net::Stream& stream, std::string_view line,
                                 uint64_t size_max_bytes) {
  const int64_t size = NumberOf(stream, line);
  if (size == -1) return std::nullopt;
  if (size < 0 || static_cast<uint64_t>(size) > size_max_bytes) RefuseLine(stream, line);
  return static_cast<uint64_t>(size);
}

// The RESP2 header with the meaning of a header, which ends up in hiredis.
std::string AsResp2(const net::Stream& stream, std::string_view line) {
  if (line.empty()) RefuseLine(stream, line);
  const std::string_view rest = line.substr(1);
  switch (line.front()) {
    case '+':
    case '-':
    case ':':
    case '$':
      return std::string(line);
    case '*':
    case '~':  // set
    case '>':  // push
    case '%':  // map
    {
      const int64_t count = NumberOf(stream, line);
      if (count < -1 || count > kArraySizeMax) RefuseLine(stream, line);
      return fmt::format("*{}", line.front() == '%' ? 2 * count : count);
    }
    case '=':  // text with its format
      return fmt::format("${}", rest);
    case '_':
      return "$-1";
    case '#':
      return rest == "t" ? ":1" : ":0";
    case ',':  // floating-point number
    case '(':  // large integer
      return fmt::format("+{}", rest);
    default:
      RefuseLine(stream, line);
  }
}

RedisReply Convert(const redisReply& reply) {
  RedisReply result;
  switch (reply.type) {
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
      result.type =
          reply.type == REDIS_REPLY_ERROR ? RedisReply::Type::kError : RedisReply::Type::kStatus;
      result.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_INTEGER:
      result.type = RedisReply::Type::kInteger;
      result.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
      result.type = RedisReply::Type::kBulk;
      result.bulk = base::Blob::Copy(base::AsBytes({reply.str, reply.len}));
      break;
    case REDIS_REPLY_ARRAY:
      result.type = RedisReply::Type::kArray;
      for (size_t i = 0; i < reply.elements; ++i) {
        result.elements.push_back(Convert(*reply.element[i]));
      }
      break;
    default:
      break;  // nil
  }
  return result;
}

void ReadLineEnd(net::Stream& stream, const Deadline& deadline) {
  std::array<std::byte, 2> end{};
  stream.ReadExactly(end, deadline);
  if (base::AsText(end) != kLineEnd) RefuseLine(stream, base::AsText(end));
}

RedisReply ReadValue(net::Stream& stream, uint64_t size, const Deadline& deadline) {
  auto owner = base::NewBuffer(size);
  const std::span<std::byte> bytes(owner.get(), size);
  stream.ReadExactly(bytes, deadline);
  ReadLineEnd(stream, deadline);
  RedisReply reply;
  reply.type = RedisReply::Type::kBulk;
  reply.bulk = base::Blob(bytes, std::move(owner));
  return reply;
}

void Feed(const net::Stream& stream, redisReader* reader, std::string_view bytes) {
  if (redisReaderFeed(reader, bytes.data(), bytes.size()) == REDIS_OK) return;
  throw Error(ErrorCode::kUnavailable, fmt::format("{}: does not speak the Redis protocol: {}",
                                                   stream.place(), redisReaderGetError(reader)));
}

}  // namespace

void RedisRequest::AppendArgument(std::string_view argument) {
  fmt::format_to(std::back_inserter(text_), "${}\r\n{}\r\n", argument.size(), argument);
}

void RedisRequest::Add(std::initializer_list<std::string_view> arguments) {
  fmt::format_to(std::back_inserter(text_), "*{}\r\n", arguments.size());
  for (const std::string_view argument : arguments) AppendArgument(argument);
}

void RedisRequest::AddSet(std::string_view key, ByteSpan head, ByteSpan value,
                          std::span<const std::string_view> options) {
  fmt::format_to(std::back_inserter(text_), "*{}\r\n", 3 + options.size());
  AppendArgument("SET");
  AppendArgument(key);
  fmt::format_to(std::back_inserter(text_), "${}\r\n{}", head.size() + value.size(),
                 base::AsText(head));
  insertions_.push_back({text_.size(), value});
  text_ += kLineEnd;
  for (const std::string_view option : options) AppendArgument(option);
}

std::vector<ByteSpan> RedisRequest::Parts() const {
  std::vector<ByteSpan> parts;
  size_t done = 0;
  for (const Insertion& insertion : insertions_) {
    parts.push_back(base::AsBytes(text_).subspan(done, insertion.at - done));
    parts.push_back(insertion.value);
    done = insertion.at;
  }
  parts.push_back(base::AsBytes(text_).subspan(done));
  return parts;
}

RedisReply ReadRedisReply(net::Stream& stream, uint64_t value_size_max_bytes,
                          const Deadline& deadline) {
  const std::string_view first = stream.ReadLine(kLineSizeMaxBytes, deadline);
  const bool is_push = first.starts_with('>');
  std::string header = AsResp2(stream, first);
  if (header.front() == '$') {
    const auto size = BulkSize(stream, header, value_size_max_bytes);
    return size ? ReadValue(stream, *size, deadline) : RedisReply();
  }

  const Reader reader(redisReaderCreate());
  uint64_t room_bytes = kArraySizeMaxBytes;
  while (true) {
    Feed(stream, reader.get(), header + std::string(kLineEnd));
    if (header.front() == '$') {
      if (const auto size = BulkSize(stream, header, room_bytes)) {
        room_bytes -= *size;
        std::string text(*size, '\0');
        stream.ReadExactly(std::as_writable_bytes(std::span(text)), deadline);
        ReadLineEnd(stream, deadline);
        Feed(stream, reader.get(), text + std::string(kLineEnd));
      }
    }
    void* parsed = nullptr;
    if (redisReaderGetReply(reader.get(), &parsed) != REDIS_OK) RefuseLine(stream, header);
    if (parsed != nullptr) {
      RedisReply reply = Convert(*ParsedReply(static_cast<redisReply*>(parsed)));
      reply.is_push = is_push;
      return reply;
    }
    header = AsResp2(stream, stream.ReadLine(kLineSizeMaxBytes, deadline));
  }
}

}  // namespace lambdaml::store
