// One connection to one Memcached server, speaking its text protocol.
//
// The text protocol is the one that every version, proxy and managed service of Memcached speaks
// (the binary one was deprecated in 1.6). Requests are pipelined: a call costs one round trip for
// each 64 writes, or 256 KB of them, or 2000 bytes of keys asked for. Values go from the caller's
// memory to the socket, and from the socket to where they stay, without a copy between.
//
// Why not libmemcached: docs/channels.md, Memcached.
//
// Errors of all calls, naming host:port: kUnavailable (the connection broke, the server cannot just
// now), kCorrupt (the answer is none of the protocol), kResourceExhausted (the server has no memory
// for a value, or the value is above its limit), kDeadlineExceeded. After an error the connection
// must be dropped, so that a late answer is never taken for that of another request.
//
// Source: doc/protocol.txt of Memcached.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/net/stream.h"
#include "lambdaml/store/memcached_text.h"
#include "lambdaml/store/store.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {

// Longest key of the protocol.
inline constexpr size_t kMemcachedKeySizeMaxBytes = 250;

struct MemcachedItem {
  base::Blob value;
  uint64_t cas = 0;  // changes with each write of the item
};

// What a server says to a conditional write.
enum class MemcachedAnswer { kStored, kNotStored, kExists, kNotFound };

// Statistics, or settings, by name.
using MemcachedStats = std::map<std::string, std::string, std::less<>>;

// Threads: one at a time. Keys are valid and short enough, which the caller sees to.
class MemcachedConnection {
 public:
  MemcachedConnection(const HostPort& server, const base::Deadline& deadline);

  // Result i belongs to keys[i] and is nothing if that item does not exist. Its value is written to
  // places[i], if there is one and it fits there.
  std::vector<std::optional<MemcachedItem>> Get(std::span<const std::string> keys,
                                                std::span<const std::span<std::byte>> places,
                                                const base::Deadline& deadline);

  // Writes or replaces. Items vanish expiry_s seconds later (at most 30 days).
  void Set(std::span<const KeyValue> entries, int expiry_s, const base::Deadline& deadline);

  // kStored or kNotStored.
  MemcachedAnswer Add(const KeyValue& entry, int expiry_s, const base::Deadline& deadline);

  // kStored, kExists (it has another cas) or kNotFound.
  MemcachedAnswer CompareAndSwap(const KeyValue& entry, uint64_t cas, int expiry_s,
                                 const base::Deadline& deadline);

  // Missing keys are ignored.
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline);

  // What "stats" and "stats settings" say.
  MemcachedStats Stats(const base::Deadline& deadline);
  MemcachedStats Settings(const base::Deadline& deadline);

  // The nodes of the ElastiCache cluster to which the server belongs, or nothing if it is an
  // ordinary one.
  std::optional<std::vector<HostPort>> ClusterNodes(const base::Deadline& deadline);

  // Calls visit for each item of the server; some may come twice, or be expired. Servers older than
  // 1.6.9 may miss items that are being used meanwhile.
  // Errors: also kPermissionDenied if the server does not list its keys.
  void ListKeys(const std::function<void(const MemcachedListedItem&)>& visit,
                const base::Deadline& deadline);

 private:
  void Send(std::string_view line, const base::Deadline& deadline);
  std::string_view ReadLine(const base::Deadline& deadline);
  // Reads the items of one get command: the answers come in the order of the keys.
  void ReadItems(std::span<const std::string> keys, std::span<const std::span<std::byte>> places,
                 std::span<std::optional<MemcachedItem>> items, const base::Deadline& deadline);
  base::Blob ReadValue(uint64_t size, std::span<std::byte> place, const base::Deadline& deadline);
  void SendWrite(std::string_view header, base::ByteSpan value, const base::Deadline& deadline);
  MemcachedStats ReadStats(const base::Deadline& deadline);
  // Throws the error that an answer stands for which the request does not allow.
  [[noreturn]] void Refuse(std::string_view request, std::string_view answer) const;

  net::Stream stream_;
};

}  // namespace lambdaml::store
