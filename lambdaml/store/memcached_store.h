// The store on Memcached servers: memcached://host[:port][,host[:port]…][/prefix].
//
// The key a/b is the item <prefix>/a/b, on the server that rendezvous hashing gives it: the same in
// every process, in whatever order the servers are listed. If a single host is given, it is asked
// for the nodes of its ElastiCache cluster, and those are used; so the cluster's configuration
// endpoint is all a user needs to know.
//
// Cost: each key is one request to its server, and those of WaitAll, PutAll and Delete go to the
// servers side by side, many in one round trip. A wait polls, every 5 ms at worst. Each connection
// costs two round trips to open, and as many are kept as calls were ever under way at once.
//
// Memory is all these servers have: a restart loses every item, which restarts() tells, and a full
// server throws out old items, which a wait notices within a second and reports as
// kResourceExhausted. Items expire after kLeftoverExpiry, so that a run that could not clean up
// leaves nothing for ever. Nothing is ever flushed: others may use the server too.
//
// A write that a stopped server has not answered is sent again, and may be carried out twice, the
// second time late: harmless for keys that are written once or swapped, as all of a job's are.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/net/retry.h"
#include "lambdaml/store/memcached_node.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

class MemcachedStore final : public Store {
 public:
  // Errors: kInvalidArgument, if the URL is wrong; kUnavailable or kCorrupt, naming host and port,
  // if a server does not answer within seconds, or not as Memcached does.
  explicit MemcachedStore(const std::string& url,
                          base::Duration first_contact_max = net::kOutageMax);

  const Capabilities& capabilities() const override { return capabilities_; }
  const std::string& url() const override { return url_; }
  Counters counters() const override { return meter_.Read(); }
  uint64_t restarts() const override;

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  // A version means nothing to another process of the server than the one that gave it.
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  // Walks all items of the servers, those of others too.
  // Errors: kPermissionDenied if a server does not list its keys.
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  // Where a server does not list its keys, logs that the items will expire.
  void DeletePrefix(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override;
  std::vector<std::optional<base::Blob>> WaitAllInto(std::span<const std::string> keys,
                                                     std::span<const std::span<std::byte>> places,
                                                     const base::Deadline& deadline) override;
  void PutAll(std::span<const KeyValue> entries, const base::Deadline& deadline) override;

 private:
  // Where some of a call's keys live.
  struct Share {
    MemcachedNode* node = nullptr;
    std::vector<size_t> places;  // in the list of the call's keys
  };

  void Connect(const std::vector<HostPort>& hosts, base::Duration first_contact_max,
               const base::Deadline& deadline);
  void ReadLimits(const base::Deadline& deadline);
  MemcachedNode& NodeOf(std::string_view item_key) const;
  std::string ItemKey(std::string_view key) const;
  std::string What(std::string_view operation, std::string_view key) const;
  void CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                  const base::Deadline& deadline) const;

  std::vector<Share> SharesOf(std::span<const std::string> item_keys) const;
  // Calls work(share) for all shares at the same time; rethrows one of the errors.
  static void ForEachShare(std::span<const Share> shares,
                           const std::function<void(const Share&)>& work);
  // Where the value of a key may be written.
  using Places = std::map<std::string_view, std::span<std::byte>>;
  std::vector<std::optional<base::Blob>> GetAll(std::span<const std::string> keys,
                                                const Places& places,
                                                const base::Deadline& deadline);
  void CheckEvictions(std::span<const std::string> keys, const base::Deadline& deadline);

  std::string url_;
  std::string prefix_;  // "" or "…/"
  Capabilities capabilities_;
  Meter meter_;
  UsualWait usual_wait_;
  std::vector<std::unique_ptr<MemcachedNode>> nodes_;
};

}  // namespace lambdaml::store
