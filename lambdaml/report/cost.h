// What a run costs: from invocations and request counters to GB-seconds and dollars.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/report/prices.h"

namespace lambdaml::report {

enum class Architecture { kX86, kArm };

// One invocation of a function, as it is billed.
struct Invocation {
  int64_t memory_mb = 0;  // configured, not used
  int64_t billed_ms = 0;
};

// What a run asked of one service (the counters of all stores and workers, added up).
struct ServiceUse {
  std::string service = {};  // "file", "s3", …: a key of Prices::services
  uint64_t get_requests = 0;
  uint64_t put_requests = 0;
  uint64_t list_requests = 0;
  uint64_t delete_requests = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t retries = 0;        // requests sent again, which are counted above too
  uint64_t read_units = 0;     // what DynamoDB bills reads by
  uint64_t write_units = 0;    // and writes
  double waiting_seconds = 0;  // of all workers, for values of others

  // Adds another use of the same service.
  ServiceUse& operator+=(const ServiceUse& other);
  bool operator==(const ServiceUse&) const = default;
};

// The nodes on which a channel stands: of ElastiCache for Memcached or Redis, a virtual machine for
// a parameter server.
struct CacheNodes {
  std::string type;  // a key of Prices::cache_node_dollars_per_hour or vm_dollars_per_hour
  int64_t count = 1;
  double seconds = 0;  // how long the run used them
};

struct CostItem {
  std::string service = {};  // "lambda" or a channel's service
  double dollars = 0;
  bool is_counted = true;  // false: a service whose nodes are not known; dollars is 0

  bool operator==(const CostItem&) const = default;
};

// The time an invocation is billed for: its duration, that of a cold start's init phase included,
// rounded up to the next millisecond (AWS Lambda pricing, "Duration"; the init phase is billed
// since August 2025).
int64_t BilledMs(base::Duration duration);

// Σ memory × billed time. A GB of memory is 1,024 MB (AWS Lambda pricing).
double GbSeconds(std::span<const Invocation> invocations);

// Dollars per service, "lambda" first, then `uses` in their order. Neither the free tier nor volume
// discounts are taken off: the figure is what the next such run costs at most. The services
// "memcached", "redis" and "ps" cost the run's share of their nodes' hours; AWS bills started hours
// of caches, of which a run that has the nodes to itself pays the whole.
// Errors: kInvalidArgument if `prices` do not know a service or the type of the nodes.
std::vector<CostItem> CostOf(const Prices& prices, Architecture architecture,
                             std::span<const Invocation> invocations,
                             std::span<const ServiceUse> uses,
                             const std::optional<CacheNodes>& cache_nodes = {});

double TotalDollars(std::span<const CostItem> items);

}  // namespace lambdaml::report
