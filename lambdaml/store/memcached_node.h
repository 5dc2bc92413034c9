// One Memcached server as a store sees it over time: connections to share, failures that pass,
// restarts, and items that the server has thrown out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/store/memcached_connection.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {

// Threads: any, at once; each call has a connection of its own, and as many stay open as calls were
// under way at once.
class MemcachedNode {
 public:
  // Connects at the first call, for which the server may stay away for `first_contact_max`. `meter`
  // counts the retries.
  MemcachedNode(HostPort server, Meter& meter, base::Duration first_contact_max = net::kOutageMax);

  // A process of the server, as far as it can be told: versions of items mean something within it.
  struct Process {
    uint64_t pid = 0;
    uint64_t started_s = 0;  // Unix time on the server's clock
    bool operator==(const Process&) const = default;
  };

  // Calls `request` with a connection, again after failures that may pass, as Store says. A new
  // connection costs a round trip more, for the server's statistics.
  // Errors: what `request` throws, with `what` ("get key in url") before it.
  using Request = std::function<void(MemcachedConnection&, const Process&)>;
  void Run(std::string_view what, const base::Deadline& deadline, const Request& request);

  // Errors: kResourceExhausted, with advice, if the server has thrown out items, its memory being
  // full, since it was first connected to; those of Run.
  void CheckEvictions(std::string_view what, const base::Deadline& deadline);

  // How often another process of the server answered than before.
  uint64_t restarts() const { return restarts_.load(std::memory_order_relaxed); }

  const HostPort& server() const { return server_; }
  // Of host and port: the same in every process.
  uint64_t hash() const { return hash_; }

 private:
  struct Line {
    MemcachedConnection connection;
    Process process;
  };

  std::unique_ptr<Line> TakeLine(const base::Deadline& deadline);
  base::Duration OutageMax();
  // Notes what a server's statistics say: its process, which is returned, and its evictions.
  Process Note(const MemcachedStats& stats);

  const HostPort server_;
  const uint64_t hash_;
  const base::Duration first_contact_max_;
  Meter& meter_;
  std::atomic<uint64_t> restarts_{0};
  std::atomic<uint64_t> attempts_{0};  // makes the seeds of retries differ

  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::unique_ptr<Line>> idle_;
  Process process_;
  bool is_known_ = false;
  uint64_t evictions_before_ = 0;
  uint64_t evictions_ = 0;
  uint64_t memory_max_bytes_ = 0;
};

}  // namespace lambdaml::store
