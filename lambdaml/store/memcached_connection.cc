#include "lambdaml/store/memcached_connection.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <utility>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using base::AsBytes;
using base::ByteSpan;
using base::Deadline;
using base::Error;
using base::ErrorCode;

constexpr size_t kLineSizeMaxBytes = 8192;
// Servers read longer lines of keys piece by piece, and some versions wrongly.
constexpr size_t kGetLineSizeMaxBytes = 2000;
// Writes, or deletions, under way at once: their answers fit every socket's buffer, so that neither
// side ever waits for the other to read.
constexpr size_t kPipelinedMax = 64;
// Beyond, pipelined writes gain nothing: a round trip is short beside the transfer, and what waits
// in the socket falls out of the processor's cache.
constexpr size_t kPipelinedMaxBytes = 256 * 1024;
// A server that has stopped is noticed, and asked again on another connection, after this.
constexpr base::Duration kSilenceMax = std::chrono::seconds(5);
// What -I accepts at most.
constexpr uint64_t kItemSizeMaxBytes = uint64_t{1} << 30;

// The number of keys, at least one, that go into one get command.
size_t KeysOfOneLine(std::span<const std::string> keys) {
  size_t size = 0;
  size_t count = 0;
  while (count < keys.size() && (count == 0 || size + keys[count].size() < kGetLineSizeMaxBytes)) {
    size += 1 + keys[count++].size();
  }
  return count;
}

// The number of entries, at least one, that are written before their answers are read. The longest
// one does not count: what is short goes along with it.
size_t WritesAtOnce(std::span<const KeyValue> entries) {
  size_t size = 0;
  size_t longest = 0;
  size_t count = 0;
  while (count < std::min(kPipelinedMax, entries.size())) {
    size += entries[count].value.size();
    longest = std::max(longest, entries[count].value.size());
    if (size - longest > kPipelinedMaxBytes) break;
    ++count;
  }
  return count;
}

std::string GetLine(std::span<const std::string> keys) {
  return fmt::format("gets {}\r\n", fmt::join(keys, " "));
}

}  // namespace

MemcachedConnection::MemcachedConnection(const HostPort& server, const Deadline& deadline)
    : stream_(
          net::Stream::Connect(server.host, server.port, {.silence_max = kSilenceMax}, deadline)) {}

std::vector<std::optional<MemcachedItem>> MemcachedConnection::Get(
    std::span<const std::string> keys, std::span<const std::span<std::byte>> places,
    const Deadline& deadline) {
  std::vector<std::optional<MemcachedItem>> items(keys.size());
  // The next command is under way while the answers to one are read.
  size_t sent = KeysOfOneLine(keys);
  if (sent > 0) Send(GetLine(keys.first(sent)), deadline);
  for (size_t begin = 0; begin < keys.size();) {
    const size_t end = sent;
    sent += KeysOfOneLine(keys.subspan(end));
    if (sent > end) Send(GetLine(keys.subspan(end, sent - end)), deadline);
    ReadItems(keys.subspan(begin, end - begin),
              places.empty() ? places : places.subspan(begin, end - begin),
              std::span(items).subspan(begin, end - begin), deadline);
    begin = end;
  }
  return items;
}

void MemcachedConnection::ReadItems(std::span<const std::string> keys,
                                    std::span<const std::span<std::byte>> places,
                                    std::span<std::optional<MemcachedItem>> items,
                                    const Deadline& deadline) {
  size_t next = 0;
  while (true) {
    const std::string line(ReadLine(deadline));
    if (line == "END") return;
    // VALUE <key> <flags> <bytes> <cas>
    const std::vector<std::string_view> words = SplitWords(line);
    if (words.size() != 5 || words[0] != "VALUE") Refuse("gets", line);
    const auto size = ParseUnsigned(words[3]);
    const auto cas = ParseUnsigned(words[4]);
    while (next < keys.size() && keys[next] != words[1]) ++next;
    if (next == keys.size() || !size || *size > kItemSizeMaxBytes || !cas) Refuse("gets", line);
    const std::span<std::byte> place = places.empty() ? std::span<std::byte>() : places[next];
    items[next++] = MemcachedItem{ReadValue(*size, place, deadline), *cas};
  }
}

base::Blob MemcachedConnection::ReadValue(uint64_t size, std::span<std::byte> place,
                                          const Deadline& deadline) {
  std::shared_ptr<std::byte[]> memory;
  if (place.empty() || place.size() < size) {
    memory = base::NewBuffer(size);
    place = {memory.get(), size};
  }
  const std::span<std::byte> value = place.first(size);
  stream_.ReadExactly(value, deadline);
  if (const std::string_view end = ReadLine(deadline); !end.empty()) Refuse("gets", end);
  return base::Blob(value, std::move(memory));
}

void MemcachedConnection::Set(std::span<const KeyValue> entries, int expiry_s,
                              const Deadline& deadline) {
  while (!entries.empty()) {
    const auto batch = entries.first(WritesAtOnce(entries));
    entries = entries.subspan(batch.size());
    std::vector<std::string> headers;
    headers.reserve(batch.size());
    std::vector<ByteSpan> parts;
    for (const KeyValue& entry : batch) {
      headers.push_back(fmt::format("set {} 0 {} {}\r\n", entry.key, expiry_s, entry.value.size()));
      parts.insert(parts.end(), {AsBytes(headers.back()), entry.value, AsBytes("\r\n")});
    }
    stream_.WriteAll(parts, deadline);
    for (size_t i = 0; i < batch.size(); ++i) {
      if (const std::string_view answer = ReadLine(deadline); answer != "STORED") {
        Refuse("set", answer);
      }
    }
  }
}

MemcachedAnswer MemcachedConnection::Add(const KeyValue& entry, int expiry_s,
                                         const Deadline& deadline) {
  SendWrite(fmt::format("add {} 0 {} {}\r\n", entry.key, expiry_s, entry.value.size()), entry.value,
            deadline);
  const std::string_view answer = ReadLine(deadline);
  if (answer == "STORED") return MemcachedAnswer::kStored;
  if (answer == "NOT_STORED") return MemcachedAnswer::kNotStored;
  Refuse("add", answer);
}

MemcachedAnswer MemcachedConnection::CompareAndSwap(const KeyValue& entry, uint64_t cas,
                                                    int expiry_s, const Deadline& deadline) {
  SendWrite(fmt::format("cas {} 0 {} {} {}\r\n", entry.key, expiry_s, entry.value.size(), cas),
            entry.value, deadline);
  const std::string_view answer = ReadLine(deadline);
  if (answer == "STORED") return MemcachedAnswer::kStored;
  if (answer == "EXISTS") return MemcachedAnswer::kExists;
  if (answer == "NOT_FOUND") return MemcachedAnswer::kNotFound;
  Refuse("cas", answer);
}

void MemcachedConnection::Delete(std::span<const std::string> keys, const Deadline& deadline) {
  for (size_t begin = 0; begin < keys.size(); begin += kPipelinedMax) {
    const auto batch = keys.subspan(begin, std::min(kPipelinedMax, keys.size() - begin));
    Send(fmt::format("delete {}\r\n", fmt::join(batch, "\r\ndelete ")), deadline);
    for (size_t i = 0; i < batch.size(); ++i) {
      const std::string_view answer = ReadLine(deadline);
      if (answer != "DELETED" && answer != "NOT_FOUND") Refuse("delete", answer);
    }
  }
}

MemcachedStats MemcachedConnection::Stats(const Deadline& deadline) {
  Send("stats\r\n", deadline);
  return ReadStats(deadline);
}

MemcachedStats MemcachedConnection::Settings(const Deadline& deadline) {
  Send("stats settings\r\n", deadline);
  return ReadStats(deadline);
}

MemcachedStats MemcachedConnection::ReadStats(const Deadline& deadline) {
  MemcachedStats stats;
  while (true) {
    const std::string_view line = ReadLine(deadline);
    if (line == "END") return stats;
    // STAT <name> <value>, where the value may have spaces or be missing.
    if (!line.starts_with("STAT ")) Refuse("stats", line);
    const auto [name, value] = CutAt(line.substr(5), ' ');
    stats.insert_or_assign(std::string(name), std::string(value));
  }
}

std::optional<std::vector<HostPort>> MemcachedConnection::ClusterNodes(const Deadline& deadline) {
  Send("config get cluster\r\n", deadline);
  const std::string header(ReadLine(deadline));
  if (header.starts_with("ERROR") || header.starts_with("CLIENT_ERROR")) return std::nullopt;
  // CONFIG cluster <flags> <bytes>
  const std::vector<std::string_view> words = SplitWords(header);
  if (words.size() != 4 || words[0] != "CONFIG" || words[1] != "cluster") {
    Refuse("config get cluster", header);
  }
  const auto size = ParseUnsigned(words[3]);
  if (!size || *size > kItemSizeMaxBytes) Refuse("config get cluster", header);
  const base::Blob text = ReadValue(*size, {}, deadline);
  if (const std::string_view end = ReadLine(deadline); end != "END") {
    Refuse("config get cluster", end);
  }
  auto nodes = ParseClusterConfig(text.text());
  if (!nodes) Refuse("config get cluster", text.text());
  return nodes;
}

void MemcachedConnection::ListKeys(const std::function<void(const MemcachedListedItem&)>& visit,
                                   const Deadline& deadline) {
  Send("lru_crawler metadump hash\r\n", deadline);
  while (true) {
    const std::string_view line = ReadLine(deadline);
    if (line == "END") return;
    if (line.starts_with("BADCLASS")) {  // before 1.6.9 there is only the walk over the LRU lists
      Send("lru_crawler metadump all\r\n", deadline);
      continue;
    }
    if (line.starts_with("BUSY")) {
      throw Error(
          ErrorCode::kUnavailable,
          fmt::format("{}: the server walks over its keys already, for itself or for others",
                      stream_.place()));
    }
    if (line.starts_with("ERROR") || line.starts_with("CLIENT_ERROR")) {
      throw Error(ErrorCode::kPermissionDenied,
                  fmt::format("{}: the server does not list its keys ({}): start it without -X "
                              "and without -o no_lru_crawler",
                              stream_.place(), Shown(line)));
    }
    const auto item = ParseListedItem(line);
    if (!item) Refuse("lru_crawler metadump", line);
    visit(*item);
  }
}

void MemcachedConnection::Send(std::string_view line, const Deadline& deadline) {
  const std::array<ByteSpan, 1> parts = {AsBytes(line)};
  stream_.WriteAll(parts, deadline);
}

void MemcachedConnection::SendWrite(std::string_view header, ByteSpan value,
                                    const Deadline& deadline) {
  const std::array<ByteSpan, 3> parts = {AsBytes(header), value, AsBytes("\r\n")};
  stream_.WriteAll(parts, deadline);
}

std::string_view MemcachedConnection::ReadLine(const Deadline& deadline) {
  return stream_.ReadLine(kLineSizeMaxBytes, deadline);
}

void MemcachedConnection::Refuse(std::string_view request, std::string_view answer) const {
  const std::string what =
      fmt::format("{}: the server answered \"{}\" to {}", stream_.place(), Shown(answer), request);
  if (answer.starts_with("SERVER_ERROR out of memory storing")) {
    throw Error(ErrorCode::kResourceExhausted,
                what +
                    ": its memory is full; give it more (memcached -m, a larger ElastiCache "
                    "node type, or more nodes)");
  }
  if (answer.starts_with("SERVER_ERROR object too large")) {
    throw Error(ErrorCode::kResourceExhausted, what);
  }
  // "ERROR Too many open connections" is said to a new connection, whatever it asks for.
  if (answer.starts_with("SERVER_ERROR") || answer.starts_with("ERROR Too many")) {
    throw Error(ErrorCode::kUnavailable, what);
  }
  throw Error(ErrorCode::kCorrupt, what + ": is it a Memcached server?");
}

}  // namespace lambdaml::store
