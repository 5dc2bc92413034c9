// What a run costs: from invocations and request counters to GB-seconds and dollars.
#pragma once

#include <cstdint>
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

  // Adds the requests and bytes of another use of the same service.
  ServiceUse& operator+=(const ServiceUse& other);
  bool operator==(const ServiceUse&) const = default;
};

struct CostItem {
  std::string service = {};  // "lambda" or a channel's service
  double dollars = 0;

  bool operator==(const CostItem&) const = default;
};

// The time an invocation is billed for: its duration, that of a cold start's init phase included,
// rounded up to the next millisecond (AWS Lambda pricing, "Duration"; the init phase is billed
// since August 2025).
int64_t BilledMs(base::Duration duration);

// Σ memory × billed time. A GB of memory is 1,024 MB (AWS Lambda pricing).
double GbSeconds(std::span<const Invocation> invocations);

// Dollars per service, "lambda" first, then `uses` in their order. Neither the free tier nor volume
// discounts are taken off: the figure is what the next such run costs at most.
// Errors: kInvalidArgument if `prices` do not know a service.
std::vector<CostItem> CostOf(const Prices& prices, Architecture architecture,
                             std::span<const Invocation> invocations,
                             std::span<const ServiceUse> uses);

double TotalDollars(std::span<const CostItem> items);

}  // namespace lambdaml::report
