// Key-value storage behind one interface: a folder, S3, Memcached, Redis, DynamoDB, or memory.
//
// Keys are '/'-separated paths of [A-Za-z0-9._-] components, at most 200 bytes, relative to what
// the store's URL names. Values are bytes. A value is seen whole or not at all; a reader that
// starts after a write has returned sees that write or a later one.
//
// Every call takes a deadline, and throws Error: kDeadlineExceeded once it is past (the message
// names the operation and the key), kResourceExhausted (full, or a value above the limit),
// kUnavailable, kPermissionDenied. A missing key is a value, never an error. Failures that may pass
// (a dropped connection, throttling, a server that restarts) are retried inside the call, until its
// deadline or for net::kOutageMax, whichever ends first. Threads: any, at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::store {

// What a store can do, as data.
struct Capabilities {
  std::string_view service;           // "file", "memory", "s3", …
  uint64_t value_size_max_bytes = 0;  // larger values are refused: callers cut them into segments
  bool can_put_if_absent = false;
  bool can_compare_and_swap = false;
  bool can_list = false;
  bool has_native_wait = false;  // Wait blocks in the service instead of polling
  bool is_durable = true;        // false: a restart of the service, or eviction, loses values
};

struct KeyValue {
  std::string key;
  base::ByteSpan value;
};

// A value with the token that CompareAndSwap wants back.
struct VersionedValue {
  base::Blob value;
  std::string version;
};

// What a store has asked of its service since it was opened: requests are billed and limited.
struct Counters {
  uint64_t get_requests = 0;  // reads, found or not, those of a polling Wait among them
  uint64_t put_requests = 0;  // writes, conditional ones that lost among them
  uint64_t delete_requests = 0;
  uint64_t list_requests = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t retries = 0;  // requests sent again, after a failure that may pass (also counted above)
  uint64_t read_units = 0;      // DynamoDB only: what reads are billed by (4 KB, consistent)
  uint64_t write_units = 0;     // DynamoDB only: what writes are billed by (1 KB)
  base::Duration waiting = {};  // time blocked in Wait and WaitAll
};

class Store {
 public:
  virtual ~Store() = default;

  virtual const Capabilities& capabilities() const = 0;
  // The URL the store was opened with, without secrets, for messages.
  virtual const std::string& url() const = 0;
  virtual Counters counters() const = 0;

  // How often the service, as far as this store has seen, has started anew and so may have lost
  // what it held. For stores that are not durable; changes only inside calls.
  virtual uint64_t restarts() const { return 0; }

  // The value, or nothing if the key is missing. One read request.
  virtual std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) = 0;

  // Writes or replaces. One write request.
  virtual void Put(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) = 0;

  // Writes only if the key is missing. Of several racing writers at most one gets true; exactly one
  // unless an answer of the service was lost: then the writer itself may find its value and get
  // false.
  virtual bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                           const base::Deadline& deadline) = 0;

  // As Get, with the version for CompareAndSwap.
  virtual std::optional<VersionedValue> GetVersioned(const std::string& key,
                                                     const base::Deadline& deadline) = 0;

  // Replaces the value only if its version is still `version`; false if somebody else was faster or
  // the key is gone, or if an answer of the service was lost and the swap may or may not have been
  // made: who gets false reads again, and can tell from the value what has happened. Two states
  // with equal bytes may have equal versions.
  virtual bool CompareAndSwap(const std::string& key, const std::string& version,
                              base::ByteSpan value, const base::Deadline& deadline) = 0;

  // Missing keys are ignored.
  virtual void Delete(std::span<const std::string> keys, const base::Deadline& deadline) = 0;

  // Keys that start with `prefix`, sorted. For clean-up only: on services it is slow and costly.
  virtual std::vector<std::string> List(std::string_view prefix,
                                        const base::Deadline& deadline) = 0;

  // Deletes every key that starts with `prefix`, as the end of a job does. Needs can_list.
  virtual void DeletePrefix(std::string_view prefix, const base::Deadline& deadline);

  // Before a run, by its trigger: sees that what the URL names is there and usable, and makes what
  // the URL asks for, as DynamoDB's tables with ?create=true. Nothing by default. Threads: one.
  virtual void Prepare(const base::Deadline& deadline);

  // After a run, by the store that has prepared it: deletes every key that starts with `prefix` and
  // what Prepare has made, unless others use that too. DeletePrefix by default. Threads: one.
  virtual void TearDown(std::string_view prefix, const base::Deadline& deadline);

  // Blocks until the key exists and returns its value; nothing if the deadline passes first.
  virtual std::optional<base::Blob> Wait(const std::string& key,
                                         const base::Deadline& deadline) = 0;

  // Waits for all keys, in parallel where the service gains by it; result i belongs to keys[i] and
  // is nothing if the deadline passed before that key existed.
  virtual std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                         const base::Deadline& deadline);

  // WaitAll by a reader that has memory for the values, as for the parts of something larger: value
  // i may be written to places[i], if it fits there, and the result then points to that memory
  // without owning it. Otherwise it is as from WaitAll, which by default it always is.
  virtual std::vector<std::optional<base::Blob>> WaitAllInto(
      std::span<const std::string> keys, std::span<const std::span<std::byte>> places,
      const base::Deadline& deadline);

  // Puts all, in parallel where the service gains by it. Not atomic as a whole.
  virtual void PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline);

 protected:
  // Errors: kResourceExhausted if the value is above the store's limit.
  void CheckValueSize(std::string_view key, base::ByteSpan value) const;
  // Errors: kDeadlineExceeded, naming operation and key, if the deadline is past.
  void CheckDeadline(std::string_view operation, std::string_view key,
                     const base::Deadline& deadline) const;
};

}  // namespace lambdaml::store
