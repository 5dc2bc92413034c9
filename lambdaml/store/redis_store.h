// The store on a Redis or Valkey server: redis://[user][:password]@host[:port][/database].
//
// One request for each key of each call; Delete and PutAll send many in one round trip.
// CompareAndSwap takes two round trips. List walks over all keys of the database, 10,000 a request.
// Wait and WaitAll block without asking (redis_connection.h) and read a key that is not there yet
// twice; on a server before Redis 6, or one that does not allow CLIENT TRACKING, they poll.
// Values are not copied on their way to the socket and from it.
//
// Under a key stands the value behind a version of 16 bytes that no other write has: so a
// compare-and-swap compares 16 bytes whatever the value's size, and a writer whose answer was lost
// can see whether what is there is its own.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lambdaml/net/retry.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/redis_connection.h"
#include "lambdaml/store/redis_options.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

// Threads that call at once have a connection each, and another to wait on; connections are kept.
class RedisStore final : public Store {
 public:
  // Connects and looks at the server. Errors: also kInvalidArgument if the server evicts values
  // when its memory is full, because a job would wait for an evicted one in vain.
  explicit RedisStore(RedisOptions options, base::Duration first_contact_max = net::kOutageMax);
  // As above, with what ParseRedisUrl reads.
  explicit RedisStore(const std::string& url, base::Duration first_contact_max = net::kOutageMax)
      : RedisStore(ParseRedisUrl(url), first_contact_max) {}

  const Capabilities& capabilities() const override { return capabilities_; }
  const std::string& url() const override { return options_.url; }
  Counters counters() const override { return meter_.Read(); }
  uint64_t restarts() const override;

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override;
  void PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) override;

 private:
  struct Attempt {
    int number = 0;  // 0 for the first
    bool is_answered =
        false;  // set by the work when the server is there: its next absence counts anew
  };
  using Values = std::vector<std::optional<base::Blob>>;

  enum class Use { kCommands, kWaiting };  // of a connection
  using Connections = std::vector<std::unique_ptr<RedisConnection>>;

  // Calls the work with a connection, and again with a new one after failures that may pass.
  void Do(std::string_view operation, std::string_view key, Use use, const base::Deadline& deadline,
          const std::function<void(RedisConnection&, Attempt&)>& work);
  std::unique_ptr<RedisConnection> Take(Use use, const base::Deadline& deadline);
  Connections& IdleFor(Use use) { return use == Use::kWaiting ? idle_waiting_ : idle_; }

  // Learn what the server can do, and refuse one that evicts values.
  void LookAt(const RedisServerInfo& server);
  void ReadLimits(RedisConnection& connection, const base::Deadline& deadline);
  void CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                  const base::Deadline& deadline) const;

  std::string NameOf(std::string_view key) const { return options_.key_prefix + std::string(key); }
  std::string MakeVersion();
  enum class SetIf { kAlways, kAbsent };
  void AddSet(std::string_view key, const std::string& version, base::ByteSpan value, SetIf set_if,
              RedisRequest* request) const;
  std::optional<VersionedValue> ReceiveValue(RedisConnection& connection, std::string_view key,
                                             const base::Deadline& deadline);
  // Reads keys, many in one round trip.
  Values ReadAll(RedisConnection& connection, std::span<const std::string> keys,
                 const base::Deadline& deadline);
  bool TrySwap(RedisConnection& connection, const std::string& key, const std::string& version,
               const std::string& next_version, base::ByteSpan value,
               const base::Deadline& deadline);
  void AwaitAll(std::span<const std::string> keys, const base::Deadline& deadline, Values* values);

  const RedisOptions options_;
  const uint64_t nonce_;       // this store's part of its versions
  base::Duration outage_max_;  // how long the server may stay away; constant once it has answered
  std::atomic<uint64_t> version_count_{0};
  Capabilities capabilities_;
  bool values_expire_ = false;
  Meter meter_;
  UsualWait usual_wait_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  Connections idle_;
  Connections idle_waiting_;
  std::string run_id_;
  uint64_t restarts_ = 0;
};

}  // namespace lambdaml::store
