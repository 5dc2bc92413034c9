#include "lambdaml/store/redis_store.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <random>
#include <set>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/leftover_expiry.h"
#include "lambdaml/store/polling.h"

namespace lambdaml::store {
namespace {

using base::ByteSpan;
using base::Deadline;
using base::Error;
using base::ErrorCode;
using Type = RedisReply::Type;

// How long opening tries to reach a server: it may be restarting.
constexpr base::Duration kOpenPatience = std::chrono::seconds(10);

constexpr size_t kVersionSizeBytes = 16;
constexpr uint64_t kDefaultBulkSizeMaxBytes = 512 << 20;  // proto-max-bulk-len unless configured
constexpr uint64_t kSmallReplyMaxBytes = 1 << 20;

// Keys read in one round trip. The server holds the values of all of them in its output buffer at
// once, so the number is small; 16 make the round trips cheap already.
constexpr size_t kReadsAtOnce = 16;
constexpr size_t kWritesAtOnce = 64;
constexpr size_t kDeletesAtOnce = 1000;
// The server does nothing else for the few milliseconds of one page.
constexpr std::string_view kKeysPerPage = "10000";

// Of waiting without notification: a request takes some 100 µs in a data centre.
constexpr PollIntervals kPollIntervals = {.first = std::chrono::microseconds(200),
                                          .longest = std::chrono::milliseconds(100)};

uint64_t RandomNonce() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

// A pattern of SCAN that only texts beginning with `prefix` match.
std::string PatternOf(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]^-\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "*";
}

// A look at what is there takes its time even if the wait's own deadline is past.
Deadline LookDeadline(const Deadline& deadline) {
  const Deadline second = Deadline::After(std::chrono::seconds(1), deadline.clock());
  return deadline.Remaining() > second.Remaining() ? deadline : second;
}

}  // namespace

RedisStore::RedisStore(RedisOptions options, base::Duration first_contact_max)
    : options_(std::move(options)), nonce_(RandomNonce()), outage_max_(first_contact_max) {
  const Deadline deadline = Deadline::After(kOpenPatience);
  Do("open", "a connection", Use::kWaiting, deadline, [&](RedisConnection& connection, Attempt&) {
    LookAt(connection.server());
    ReadLimits(connection, deadline);
  });
  outage_max_ = net::kOutageMax;
}

uint64_t RedisStore::restarts() const {
  const std::lock_guard lock(mutex_);
  return restarts_;
}

void RedisStore::LookAt(const RedisServerInfo& server) {
  if (server.maxmemory_bytes > 0 && server.maxmemory_policy.starts_with("allkeys")) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("it evicts values when its memory is full (maxmemory-policy {}), and a "
                            "job would wait for them in vain: set maxmemory-policy to noeviction",
                            server.maxmemory_policy));
  }
  // The other policies evict only what would expire: there values stay until they are deleted.
  values_expire_ = server.maxmemory_policy == "noeviction";
  capabilities_ = {.service = "redis",
                   .value_size_max_bytes = kDefaultBulkSizeMaxBytes - kVersionSizeBytes,
                   .can_put_if_absent = true,
                   .can_compare_and_swap = true,
                   .can_list = true,
                   .has_native_wait = server.can_track,
                   .is_durable = false};
}

void RedisStore::ReadLimits(RedisConnection& connection, const Deadline& deadline) {
  RedisRequest request;
  request.Add({"CONFIG", "GET", "proto-max-bulk-len"});
  connection.Send(request, deadline);
  const RedisReply reply = connection.TryReceive(kSmallReplyMaxBytes, deadline);
  // A managed server does not show its configuration; it has the default.
  if (reply.type != Type::kArray || reply.elements.size() != 2) return;
  const std::string_view text = reply.elements[1].bulk.text();
  uint64_t size_max_bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), size_max_bytes);
  if (size_max_bytes <= kVersionSizeBytes) return;
  capabilities_.value_size_max_bytes = size_max_bytes - kVersionSizeBytes;
}

std::unique_ptr<RedisConnection> RedisStore::Take(Use use, const Deadline& deadline) {
  {
    const std::lock_guard lock(mutex_);
    Connections& idle = IdleFor(use);
    if (!idle.empty()) {
      auto connection = std::move(idle.back());
      idle.pop_back();
      return connection;
    }
  }
  auto connection = std::make_unique<RedisConnection>(options_, use == Use::kWaiting, deadline);
  if (use == Use::kWaiting && capabilities_.has_native_wait && !connection->server().can_track) {
    throw Error(ErrorCode::kPermissionDenied, "the server no longer allows CLIENT TRACKING");
  }
  const std::string& run_id = connection->server().run_id;
  const std::lock_guard lock(mutex_);
  if (!run_id_.empty() && !run_id.empty() && run_id != run_id_) ++restarts_;
  if (!run_id.empty()) run_id_ = run_id;
  return connection;
}

void RedisStore::Do(std::string_view operation, std::string_view key, Use use,
                    const Deadline& deadline,
                    const std::function<void(RedisConnection&, Attempt&)>& work) {
  std::optional<net::Retry> retry;
  Attempt attempt;
  while (true) {
    try {
      std::unique_ptr<RedisConnection> connection = Take(use, deadline);
      work(*connection, attempt);
      const std::lock_guard lock(mutex_);
      IdleFor(use).push_back(std::move(connection));
      return;
    } catch (const Error& error) {
      if (!retry || std::exchange(attempt.is_answered, false)) {
        retry.emplace(deadline, base::MixSeed(nonce_, ++version_count_), outage_max_);
      }
      if (error.code() != ErrorCode::kUnavailable || !retry->Again()) {
        throw Error(error.code(),
                    fmt::format("{} {} in {}: {}", operation, key, options_.url, error.message()));
      }
    }
    ++attempt.number;
    meter_.CountRetry();
    // What broke one connection has likely broken all.
    const std::lock_guard lock(mutex_);
    idle_.clear();
    idle_waiting_.clear();
  }
}

void RedisStore::CheckWrite(std::string_view operation, const std::string& key, ByteSpan value,
                            const Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

std::string RedisStore::MakeVersion() {
  const std::array<uint64_t, 2> parts = {nonce_, ++version_count_};
  std::string version(kVersionSizeBytes, '\0');
  std::memcpy(version.data(), parts.data(), kVersionSizeBytes);
  return version;
}

void RedisStore::AddSet(std::string_view key, const std::string& version, ByteSpan value,
                        SetIf set_if, RedisRequest* request) const {
  const std::string expiry_ms = std::to_string(std::chrono::milliseconds(kLeftoverExpiry).count());
  std::vector<std::string_view> options;
  if (values_expire_) options.insert(options.end(), {"PX", expiry_ms});
  if (set_if == SetIf::kAbsent) options.emplace_back("NX");
  request->AddSet(NameOf(key), base::AsBytes(version), value, options);
}

void RedisStore::Put(const std::string& key, ByteSpan value, const Deadline& deadline) {
  const KeyValue entry = {key, value};
  PutAll(std::span(&entry, 1), deadline);
}

void RedisStore::PutAll(std::span<const KeyValue> entries, const Deadline& deadline) {
  for (const auto& [key, value] : entries) CheckWrite("put", key, value, deadline);
  for (; !entries.empty(); entries = entries.subspan(std::min(entries.size(), kWritesAtOnce))) {
    const auto batch = entries.first(std::min(entries.size(), kWritesAtOnce));
    Do("put", batch.front().key, Use::kCommands, deadline,
       [&](RedisConnection& connection, Attempt&) {
         RedisRequest request;
         for (const auto& [key, value] : batch) {
           AddSet(key, MakeVersion(), value, SetIf::kAlways, &request);
           meter_.CountPut(value.size());
         }
         connection.Send(request, deadline);
         for (size_t i = 0; i < batch.size(); ++i)
           connection.Receive(kSmallReplyMaxBytes, deadline);
       });
  }
}

bool RedisStore::PutIfAbsent(const std::string& key, ByteSpan value, const Deadline& deadline) {
  CheckWrite("create", key, value, deadline);
  const std::string version = MakeVersion();
  bool is_created = false;
  Do("create", key, Use::kCommands, deadline,
     [&](RedisConnection& connection, const Attempt& attempt) {
       meter_.CountPut(value.size());
       RedisRequest request;
       AddSet(key, version, value, SetIf::kAbsent, &request);
       connection.Send(request, deadline);
       is_created = connection.Receive(kSmallReplyMaxBytes, deadline).type == Type::kStatus;
       if (is_created || attempt.number == 0) return;
       // An earlier attempt may have created it, and its answer was lost.
       meter_.CountGet();
       RedisRequest question;
       question.Add({"GETRANGE", NameOf(key), "0", std::to_string(kVersionSizeBytes - 1)});
       connection.Send(question, deadline);
       is_created = connection.Receive(kSmallReplyMaxBytes, deadline).bulk.text() == version;
     });
  return is_created;
}

std::optional<VersionedValue> RedisStore::ReceiveValue(RedisConnection& connection,
                                                       std::string_view key,
                                                       const Deadline& deadline) {
  const uint64_t size_max_bytes = capabilities_.value_size_max_bytes + kVersionSizeBytes;
  const RedisReply reply = connection.Receive(size_max_bytes, deadline);
  if (reply.type == Type::kNil) return std::nullopt;
  const ByteSpan stored = reply.bulk.span();
  if (stored.size() < kVersionSizeBytes) {
    throw Error(ErrorCode::kCorrupt,
                fmt::format("{} holds something that is not LambdaML's", NameOf(key)));
  }
  const base::Blob value(stored.subspan(kVersionSizeBytes), reply.bulk.owner());
  meter_.CountBytesRead(value.size());
  return VersionedValue{value, std::string(base::AsText(stored.first(kVersionSizeBytes)))};
}

std::optional<base::Blob> RedisStore::Get(const std::string& key, const Deadline& deadline) {
  auto found = GetVersioned(key, deadline);
  if (!found) return std::nullopt;
  return std::move(found->value);
}

std::optional<VersionedValue> RedisStore::GetVersioned(const std::string& key,
                                                       const Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  std::optional<VersionedValue> found;
  Do("get", key, Use::kCommands, deadline, [&](RedisConnection& connection, Attempt&) {
    meter_.CountGet();
    RedisRequest request;
    request.Add({"GET", NameOf(key)});
    connection.Send(request, deadline);
    found = ReceiveValue(connection, key, deadline);
  });
  return found;
}

bool RedisStore::CompareAndSwap(const std::string& key, const std::string& version, ByteSpan value,
                                const Deadline& deadline) {
  CheckWrite("compare-and-swap", key, value, deadline);
  const std::string next_version = MakeVersion();
  bool is_swapped = false;
  Do("compare-and-swap", key, Use::kCommands, deadline, [&](RedisConnection& connection, Attempt&) {
    is_swapped = TrySwap(connection, key, version, next_version, value, deadline);
  });
  return is_swapped;
}

// WATCH and EXEC rather than a script: the server copies a script's arguments twice, and a swap
// that is lost already costs no transfer of the value. UNWATCH ends what a lost swap left behind.
bool RedisStore::TrySwap(RedisConnection& connection, const std::string& key,
                         const std::string& version, const std::string& next_version,
                         ByteSpan value, const Deadline& deadline) {
  const std::string name = NameOf(key);
  RedisRequest question;
  question.Add({"UNWATCH"});
  question.Add({"WATCH", name});
  question.Add({"GETRANGE", name, "0", std::to_string(kVersionSizeBytes - 1)});
  connection.Send(question, deadline);
  connection.Receive(kSmallReplyMaxBytes, deadline);
  connection.Receive(kSmallReplyMaxBytes, deadline);
  const RedisReply present = connection.Receive(kSmallReplyMaxBytes, deadline);
  // An earlier attempt may have made it, and its answer was lost.
  const bool is_made = present.bulk.text() == next_version;
  if (is_made || present.bulk.size() != kVersionSizeBytes || present.bulk.text() != version) {
    meter_.CountPut(0);
    return is_made;
  }
  meter_.CountPut(value.size());
  RedisRequest swap;
  swap.Add({"MULTI"});
  AddSet(key, next_version, value, SetIf::kAlways, &swap);
  swap.Add({"EXEC"});
  connection.Send(swap, deadline);
  connection.Receive(kSmallReplyMaxBytes, deadline);  // OK
  connection.Receive(kSmallReplyMaxBytes, deadline);  // QUEUED, or why the server refuses
  return connection.Receive(kSmallReplyMaxBytes, deadline).type == Type::kArray;
}

void RedisStore::Delete(std::span<const std::string> keys, const Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (!keys.empty()) CheckDeadline("delete", keys.front(), deadline);
  for (; !keys.empty(); keys = keys.subspan(std::min(keys.size(), kDeletesAtOnce))) {
    const auto batch = keys.first(std::min(keys.size(), kDeletesAtOnce));
    Do("delete", batch.front(), Use::kCommands, deadline,
       [&](RedisConnection& connection, Attempt&) {
         meter_.CountDelete(batch.size());
         RedisRequest request;
         // One by one: servers in cluster mode refuse several keys in one command.
         for (const std::string& key : batch) request.Add({"UNLINK", NameOf(key)});
         connection.Send(request, deadline);
         for (size_t i = 0; i < batch.size(); ++i)
           connection.Receive(kSmallReplyMaxBytes, deadline);
       });
  }
}

std::vector<std::string> RedisStore::List(std::string_view prefix, const Deadline& deadline) {
  CheckDeadline("list", prefix, deadline);
  const std::string pattern = PatternOf(NameOf(prefix));
  std::set<std::string> keys;  // SCAN may give a key twice
  Do("list", prefix, Use::kCommands, deadline, [&](RedisConnection& connection, Attempt&) {
    keys.clear();
    std::string cursor = "0";
    do {
      meter_.CountList();
      RedisRequest request;
      request.Add({"SCAN", cursor, "MATCH", pattern, "COUNT", kKeysPerPage});
      connection.Send(request, deadline);
      const RedisReply page = connection.Receive(kSmallReplyMaxBytes, deadline);
      if (page.elements.size() != 2) {
        throw Error(ErrorCode::kUnavailable, "the server's reply to SCAN is malformed");
      }
      cursor = page.elements[0].bulk.text();
      for (const RedisReply& name : page.elements[1].elements) {
        if (!name.bulk.text().starts_with(options_.key_prefix)) continue;
        const std::string_view key = name.bulk.text().substr(options_.key_prefix.size());
        if (IsKey(key)) keys.emplace(key);
      }
    } while (cursor != "0" && !cursor.empty());
  });
  return {keys.begin(), keys.end()};
}

RedisStore::Values RedisStore::ReadAll(RedisConnection& connection,
                                       std::span<const std::string> keys,
                                       const Deadline& deadline) {
  Values values;
  values.reserve(keys.size());
  while (!keys.empty()) {
    const auto batch = keys.first(std::min(keys.size(), kReadsAtOnce));
    keys = keys.subspan(batch.size());
    RedisRequest request;
    for (const std::string& key : batch) request.Add({"GET", NameOf(key)});
    meter_.CountGet(batch.size());
    connection.Send(request, deadline);
    for (const std::string& key : batch) {
      auto found = ReceiveValue(connection, key, deadline);
      values.push_back(found ? std::optional(std::move(found->value)) : std::nullopt);
    }
  }
  return values;
}

std::optional<base::Blob> RedisStore::Wait(const std::string& key, const Deadline& deadline) {
  return std::move(WaitAll(std::span(&key, 1), deadline).front());
}

std::vector<std::optional<base::Blob>> RedisStore::WaitAll(std::span<const std::string> keys,
                                                           const Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (!capabilities_.has_native_wait) {
    return PollForAll(keys, kPollIntervals, deadline, meter_, usual_wait_,
                      [&](std::span<const std::string> missing, const Deadline& look_deadline) {
                        Values values;
                        Do("wait for", missing.front(), Use::kCommands, look_deadline,
                           [&](RedisConnection& connection, Attempt&) {
                             values = ReadAll(connection, missing, look_deadline);
                           });
                        return values;
                      });
  }
  const base::TimePoint start = deadline.clock().Now();
  Values values(keys.size());
  if (!keys.empty()) AwaitAll(keys, deadline, &values);
  meter_.CountWaiting(deadline.clock().Now() - start);
  return values;
}

void RedisStore::AwaitAll(std::span<const std::string> keys, const Deadline& deadline,
                          Values* values) {
  const auto look = [&](RedisConnection& connection, const std::vector<size_t>& places) {
    std::vector<std::string> missing;
    for (const size_t place : places) missing.push_back(keys[place]);
    Values found = ReadAll(connection, missing, LookDeadline(deadline));
    for (size_t i = 0; i < places.size(); ++i) (*values)[places[i]] = std::move(found[i]);
  };
  // The places of the keys that are missing, of those among the written ones.
  const auto missing_among = [&](const std::vector<std::string>& written) {
    const bool is_any = std::ranges::find(written, "") != written.end();
    std::vector<size_t> places;
    for (size_t i = 0; i < keys.size(); ++i) {
      if ((*values)[i]) continue;
      if (is_any || std::ranges::find(written, NameOf(keys[i])) != written.end()) {
        places.push_back(i);
      }
    }
    return places;
  };
  Do("wait for", keys.front(), Use::kWaiting, LookDeadline(deadline),
     [&](RedisConnection& connection, Attempt& attempt) {
       connection.ForgetWrites();
       std::vector<std::string> written = {""};
       while (!written.empty()) {
         const std::vector<size_t> places = missing_among(written);
         if (!places.empty()) look(connection, places);
         attempt.is_answered = true;
         if (missing_among({""}).empty()) return;
         written = connection.AwaitWrites(deadline);
       }
     });
}

}  // namespace lambdaml::store
