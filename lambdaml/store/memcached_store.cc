#include "lambdaml/store/memcached_store.h"

#include <algorithm>
#include <fmt/format.h>
#include <future>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/random.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/leftover_expiry.h"
#include "lambdaml/store/polling.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;

constexpr int kDefaultPort = 11211;
constexpr int kExpiryS = std::chrono::seconds(kLeftoverExpiry).count();
constexpr base::Duration kOpenTimeout = std::chrono::seconds(10);
constexpr PollIntervals kPollIntervals = {.first = std::chrono::microseconds(50),
                                          .longest = std::chrono::milliseconds(5)};
constexpr base::Duration kEvictionCheckInterval = std::chrono::seconds(1);
// Of an item, what is not value: the longest key, and the server's own 58 to 100 bytes, with room
// for those of versions to come.
constexpr uint64_t kItemOverheadBytes = 512;
constexpr size_t kPrefixSizeMaxBytes = kMemcachedKeySizeMaxBytes - kKeySizeMaxBytes - 1;

void CheckPlain(const StoreUrl& url) {
  if (!url.user.empty() || !url.password.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: users and passwords are not supported; protect the server with a "
                            "security group or a firewall",
                            url.redacted));
  }
  if (!url.parameters.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no such parameter: {}; there are none", url.redacted,
                            url.parameters.begin()->first));
  }
}

std::string ParsePrefix(const StoreUrl& url) {
  std::string_view prefix = url.path;
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.empty()) return "";
  if (!IsKey(prefix) || prefix.size() > kPrefixSizeMaxBytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the prefix must be at most {} bytes of A-Z a-z 0-9 . _ - in parts "
                            "joined by single slashes",
                            url.redacted, kPrefixSizeMaxBytes));
  }
  return fmt::format("{}/", prefix);
}

std::string VersionOf(const MemcachedNode::Process& process, uint64_t cas) {
  return fmt::format("{}.{}.{}", process.pid, process.started_s, cas);
}

// The cas of a version that this process of the server gave.
std::optional<uint64_t> CasOf(std::string_view version, const MemcachedNode::Process& process) {
  const std::string start = VersionOf(process, 0);
  const size_t size = start.size() - 1;
  if (version.substr(0, size) != std::string_view(start).substr(0, size)) return std::nullopt;
  return ParseUnsigned(version.substr(size));
}

std::string_view SettingOf(const MemcachedStats& settings, std::string_view name) {
  const auto found = settings.find(name);
  return found == settings.end() ? std::string_view() : found->second;
}

// An encoded key of ours: of its characters only the slash is ever encoded.
std::string WithSlashes(std::string_view encoded_key) {
  std::string key;
  for (size_t i = 0; i < encoded_key.size(); ++i) {
    const bool is_slash = encoded_key.substr(i, 3) == "%2F";
    key += is_slash ? '/' : encoded_key[i];
    if (is_slash) i += 2;
  }
  return key;
}

}  // namespace

MemcachedStore::MemcachedStore(const std::string& url, base::Duration first_contact_max) {
  const StoreUrl parsed = StoreUrl::Parse(url);
  url_ = parsed.redacted;
  CheckPlain(parsed);
  prefix_ = ParsePrefix(parsed);
  const Deadline deadline = Deadline::After(kOpenTimeout);
  Connect(parsed.Hosts(kDefaultPort), first_contact_max, deadline);
  ReadLimits(deadline);
}

void MemcachedStore::Connect(const std::vector<HostPort>& hosts, base::Duration first_contact_max,
                             const Deadline& deadline) {
  for (const HostPort& host : hosts) {
    if (std::ranges::count(hosts, host) > 1) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: {}:{} is given twice", url_, host.host, host.port));
    }
    nodes_.push_back(std::make_unique<MemcachedNode>(host, meter_, first_contact_max));
  }
  if (hosts.size() > 1) return;
  std::optional<std::vector<HostPort>> cluster;
  nodes_.front()->Run(What("open", ""), deadline,
                      [&](MemcachedConnection& connection, const auto&) {
                        cluster = connection.ClusterNodes(deadline);
                      });
  if (!cluster) return;
  nodes_.clear();
  for (HostPort& host : *cluster) {
    nodes_.push_back(std::make_unique<MemcachedNode>(std::move(host), meter_, first_contact_max));
  }
}

void MemcachedStore::ReadLimits(const Deadline& deadline) {
  capabilities_ = {.service = "memcached",
                   .value_size_max_bytes = UINT64_MAX,
                   .can_put_if_absent = true,
                   .can_compare_and_swap = true,
                   .can_list = true,
                   .is_durable = false};
  for (const auto& node : nodes_) {
    MemcachedStats settings;
    node->Run(What("open", ""), deadline, [&](MemcachedConnection& connection, const auto&) {
      settings = connection.Settings(deadline);
    });
    const auto item_size = ParseUnsigned(SettingOf(settings, "item_size_max"));
    if (!item_size || *item_size <= kItemOverheadBytes) {
      throw Error(ErrorCode::kCorrupt, fmt::format("open {}: {}:{} does not say its item_size_max",
                                                   url_, node->server().host, node->server().port));
    }
    capabilities_.value_size_max_bytes =
        std::min(capabilities_.value_size_max_bytes, *item_size - kItemOverheadBytes);
    if (SettingOf(settings, "cas_enabled") == "no") capabilities_.can_compare_and_swap = false;
    if (SettingOf(settings, "lru_crawler") == "no" || SettingOf(settings, "dump_enabled") == "no") {
      capabilities_.can_list = false;
    }
  }
}

uint64_t MemcachedStore::restarts() const {
  uint64_t restarts = 0;
  for (const auto& node : nodes_) restarts += node->restarts();
  return restarts;
}

std::optional<base::Blob> MemcachedStore::Get(const std::string& key, const Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  return std::move(GetAll(std::span(&key, 1), {}, deadline).front());
}

void MemcachedStore::Put(const std::string& key, base::ByteSpan value, const Deadline& deadline) {
  const KeyValue entry = {key, value};
  PutAll(std::span(&entry, 1), deadline);
}

bool MemcachedStore::PutIfAbsent(const std::string& key, base::ByteSpan value,
                                 const Deadline& deadline) {
  CheckWrite("create", key, value, deadline);
  const std::string item_key = ItemKey(key);
  bool is_stored = false;
  NodeOf(item_key).Run(What("create", key), deadline,
                       [&](MemcachedConnection& connection, const auto&) {
                         meter_.CountPut(value.size());
                         const auto answer = connection.Add({item_key, value}, kExpiryS, deadline);
                         is_stored = answer == MemcachedAnswer::kStored;
                       });
  return is_stored;
}

std::optional<VersionedValue> MemcachedStore::GetVersioned(const std::string& key,
                                                           const Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  const std::string item_key = ItemKey(key);
  std::optional<VersionedValue> found;
  NodeOf(item_key).Run(
      What("get", key), deadline,
      [&](MemcachedConnection& connection, const MemcachedNode::Process& process) {
        meter_.CountGet();
        auto items = connection.Get(std::span(&item_key, 1), {}, deadline);
        if (!items.front()) return;
        meter_.CountBytesRead(items.front()->value.size());
        found = {std::move(items.front()->value), VersionOf(process, items.front()->cas)};
      });
  return found;
}

bool MemcachedStore::CompareAndSwap(const std::string& key, const std::string& version,
                                    base::ByteSpan value, const Deadline& deadline) {
  CheckWrite("compare-and-swap", key, value, deadline);
  const std::string item_key = ItemKey(key);
  bool is_stored = false;
  NodeOf(item_key).Run(
      What("compare-and-swap", key), deadline,
      [&](MemcachedConnection& connection, const MemcachedNode::Process& process) {
        const auto cas = CasOf(version, process);
        if (!cas) return;
        meter_.CountPut(value.size());
        const auto answer = connection.CompareAndSwap({item_key, value}, *cas, kExpiryS, deadline);
        is_stored = answer == MemcachedAnswer::kStored;
      });
  return is_stored;
}

void MemcachedStore::Delete(std::span<const std::string> keys, const Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (keys.empty()) return;
  CheckDeadline("delete", keys.front(), deadline);
  std::vector<std::string> item_keys;
  for (const std::string& key : keys) item_keys.push_back(ItemKey(key));
  ForEachShare(SharesOf(item_keys), [&](const Share& share) {
    std::vector<std::string> own;
    for (const size_t place : share.places) own.push_back(item_keys[place]);
    share.node->Run(What("delete", keys[share.places.front()]), deadline,
                    [&](MemcachedConnection& connection, const auto&) {
                      meter_.CountDelete(own.size());
                      connection.Delete(own, deadline);
                    });
  });
}

std::vector<std::string> MemcachedStore::List(std::string_view prefix, const Deadline& deadline) {
  CheckDeadline("list", prefix, deadline);
  const std::string start = ItemKey(prefix);
  std::vector<std::string> keys;
  for (const auto& node : nodes_) {
    std::vector<std::string> own;
    node->Run(What("list", prefix), deadline, [&](MemcachedConnection& connection, const auto&) {
      own.clear();
      meter_.CountList();
      const auto now_s = ParseUnsigned(SettingOf(connection.Stats(deadline), "time"));
      connection.ListKeys(
          [&](const MemcachedListedItem& item) {
            const bool is_expired =
                item.expires_s >= 0 && now_s && static_cast<uint64_t>(item.expires_s) <= *now_s;
            std::string key = WithSlashes(item.encoded_key);
            if (is_expired || !key.starts_with(start)) return;
            key.erase(0, prefix_.size());
            if (IsKey(key)) own.push_back(std::move(key));
          },
          deadline);
    });
    keys.insert(keys.end(), own.begin(), own.end());
  }
  std::ranges::sort(keys);
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

void MemcachedStore::DeletePrefix(std::string_view prefix, const Deadline& deadline) {
  try {
    Store::DeletePrefix(prefix, deadline);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kPermissionDenied) throw;
    base::Log(base::LogLevel::kWarning,
              fmt::format("{}; what was written stays until it expires, {} h after its writing",
                          error.message(), kLeftoverExpiry.count()));
  }
}

std::optional<base::Blob> MemcachedStore::Wait(const std::string& key, const Deadline& deadline) {
  return std::move(WaitAll(std::span(&key, 1), deadline).front());
}

std::vector<std::optional<base::Blob>> MemcachedStore::WaitAll(std::span<const std::string> keys,
                                                               const Deadline& deadline) {
  return WaitAllInto(keys, {}, deadline);
}

std::vector<std::optional<base::Blob>> MemcachedStore::WaitAllInto(
    std::span<const std::string> keys, std::span<const std::span<std::byte>> places,
    const Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  Places place_of;
  for (size_t i = 0; i < places.size(); ++i) place_of.emplace(keys[i], places[i]);
  const base::Clock& clock = deadline.clock();
  Deadline eviction_check = Deadline::After(kEvictionCheckInterval, clock);
  return PollForAll(keys, kPollIntervals, deadline, meter_, usual_wait_,
                    [&](std::span<const std::string> missing, const Deadline& look_deadline) {
                      if (eviction_check.Expired()) {
                        CheckEvictions(missing, look_deadline);
                        eviction_check = Deadline::After(kEvictionCheckInterval, clock);
                      }
                      return GetAll(missing, place_of, look_deadline);
                    });
}

void MemcachedStore::PutAll(std::span<const KeyValue> entries, const Deadline& deadline) {
  for (const KeyValue& entry : entries) CheckWrite("put", entry.key, entry.value, deadline);
  std::vector<std::string> item_keys;
  for (const KeyValue& entry : entries) item_keys.push_back(ItemKey(entry.key));
  ForEachShare(SharesOf(item_keys), [&](const Share& share) {
    std::vector<KeyValue> own;
    for (const size_t place : share.places) {
      own.push_back({item_keys[place], entries[place].value});
    }
    share.node->Run(What("put", entries[share.places.front()].key), deadline,
                    [&](MemcachedConnection& connection, const auto&) {
                      for (const KeyValue& entry : own) meter_.CountPut(entry.value.size());
                      connection.Set(own, kExpiryS, deadline);
                    });
  });
}

std::vector<std::optional<base::Blob>> MemcachedStore::GetAll(std::span<const std::string> keys,
                                                              const Places& places,
                                                              const Deadline& deadline) {
  std::vector<std::optional<base::Blob>> values(keys.size());
  std::vector<std::string> item_keys;
  for (const std::string& key : keys) item_keys.push_back(ItemKey(key));
  ForEachShare(SharesOf(item_keys), [&](const Share& share) {
    std::vector<std::string> own;
    std::vector<std::span<std::byte>> own_places;
    for (const size_t i : share.places) {
      own.push_back(item_keys[i]);
      const auto place = places.find(keys[i]);
      own_places.push_back(place == places.end() ? std::span<std::byte>() : place->second);
    }
    share.node->Run(What("get", keys[share.places.front()]), deadline,
                    [&](MemcachedConnection& connection, const auto&) {
                      meter_.CountGet(own.size());
                      auto items = connection.Get(own, own_places, deadline);
                      for (size_t i = 0; i < items.size(); ++i) {
                        if (!items[i]) continue;
                        meter_.CountBytesRead(items[i]->value.size());
                        values[share.places[i]] = std::move(items[i]->value);
                      }
                    });
  });
  return values;
}

void MemcachedStore::CheckEvictions(std::span<const std::string> keys, const Deadline& deadline) {
  std::vector<std::string> item_keys;
  for (const std::string& key : keys) item_keys.push_back(ItemKey(key));
  for (const Share& share : SharesOf(item_keys)) {
    share.node->CheckEvictions(What("wait for", keys[share.places.front()]), deadline);
  }
}

MemcachedNode& MemcachedStore::NodeOf(std::string_view item_key) const {
  if (nodes_.size() == 1) return *nodes_.front();
  const uint64_t key_hash = base::Checksum64(base::AsBytes(item_key));
  MemcachedNode* best = nullptr;
  uint64_t best_score = 0;
  for (const auto& node : nodes_) {
    const uint64_t score = base::MixSeed(key_hash, node->hash());
    if (best && score <= best_score) continue;
    best = node.get();
    best_score = score;
  }
  return *best;
}

std::vector<MemcachedStore::Share> MemcachedStore::SharesOf(
    std::span<const std::string> item_keys) const {
  std::vector<Share> shares;
  for (size_t place = 0; place < item_keys.size(); ++place) {
    MemcachedNode* const node = &NodeOf(item_keys[place]);
    auto share = std::ranges::find(shares, node, &Share::node);
    if (share == shares.end()) share = shares.insert(share, {node, {}});
    share->places.push_back(place);
  }
  return shares;
}

void MemcachedStore::ForEachShare(std::span<const Share> shares,
                                  const std::function<void(const Share&)>& work) {
  if (shares.empty()) return;
  std::vector<std::future<void>> others;
  for (const Share& share : shares.subspan(1)) {
    others.push_back(std::async(std::launch::async, work, std::cref(share)));
  }
  work(shares.front());
  for (auto& other : others) other.get();
}

std::string MemcachedStore::ItemKey(std::string_view key) const {
  return fmt::format("{}{}", prefix_, key);
}

std::string MemcachedStore::What(std::string_view operation, std::string_view key) const {
  return fmt::format("{} {}{}{}", operation, key, key.empty() ? "" : " in ", url_);
}

void MemcachedStore::CheckWrite(std::string_view operation, const std::string& key,
                                base::ByteSpan value, const Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

}  // namespace lambdaml::store
