#include "lambdaml/report/cost.h"

#include <chrono>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"

namespace lambdaml::report {
namespace {

constexpr double kMillion = 1e6;
constexpr double kGbBytes = 0x1.0p30;

double ServiceDollars(const ServicePrices& prices, const ServiceUse& use) {
  const auto requests = [](uint64_t count, double dollars_per_million) {
    return static_cast<double>(count) / kMillion * dollars_per_million;
  };
  const auto traffic = [](uint64_t bytes, double dollars_per_gb) {
    return static_cast<double>(bytes) / kGbBytes * dollars_per_gb;
  };
  return requests(use.put_requests, prices.dollars_per_million_puts) +
         requests(use.get_requests, prices.dollars_per_million_gets) +
         requests(use.list_requests, prices.dollars_per_million_lists) +
         requests(use.delete_requests, prices.dollars_per_million_deletes) +
         requests(use.read_units, prices.dollars_per_million_read_units) +
         requests(use.write_units, prices.dollars_per_million_write_units) +
         traffic(use.bytes_read, prices.dollars_per_gb_read) +
         traffic(use.bytes_written, prices.dollars_per_gb_written);
}

bool IsParameterServer(std::string_view service) { return service == "ps"; }

// Services on nodes of the user's choice, paid by the hour.
bool HasNodes(std::string_view service) {
  return service == "memcached" || service == "redis" || IsParameterServer(service);
}

double NodeDollars(const Prices& prices, std::string_view service, const CacheNodes& nodes) {
  constexpr double kHourSeconds = 3600;
  const double per_hour = IsParameterServer(service) ? prices.VmDollarsPerHour(nodes.type)
                                                     : prices.CacheNodeDollarsPerHour(nodes.type);
  return per_hour * static_cast<double>(nodes.count) * nodes.seconds / kHourSeconds;
}

}  // namespace

ServiceUse& ServiceUse::operator+=(const ServiceUse& other) {
  get_requests += other.get_requests;
  put_requests += other.put_requests;
  list_requests += other.list_requests;
  delete_requests += other.delete_requests;
  bytes_read += other.bytes_read;
  bytes_written += other.bytes_written;
  retries += other.retries;
  read_units += other.read_units;
  write_units += other.write_units;
  waiting_seconds += other.waiting_seconds;
  return *this;
}

int64_t BilledMs(base::Duration duration) {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

double GbSeconds(std::span<const Invocation> invocations) {
  double gb_seconds = 0;
  for (const Invocation& invocation : invocations) {
    gb_seconds += static_cast<double>(invocation.memory_mb) / 1024 *
                  static_cast<double>(invocation.billed_ms) / 1000;
  }
  return gb_seconds;
}

std::vector<CostItem> CostOf(const Prices& prices, Architecture architecture,
                             std::span<const Invocation> invocations,
                             std::span<const ServiceUse> uses,
                             const std::optional<CacheNodes>& cache_nodes) {
  const double per_gb_second = architecture == Architecture::kArm
                                   ? prices.lambda.arm64_dollars_per_gb_second
                                   : prices.lambda.x86_64_dollars_per_gb_second;
  std::vector<CostItem> items;
  items.push_back({"lambda", GbSeconds(invocations) * per_gb_second +
                                 static_cast<double>(invocations.size()) / kMillion *
                                     prices.lambda.dollars_per_million_requests});
  for (const ServiceUse& use : uses) {
    if (HasNodes(use.service)) {
      items.push_back({.service = use.service,
                       .dollars = cache_nodes ? NodeDollars(prices, use.service, *cache_nodes) : 0,
                       .is_counted = cache_nodes.has_value()});
      continue;
    }
    const auto found = prices.services.find(use.service);
    if (found == prices.services.end()) {
      throw base::Error(base::ErrorCode::kInvalidArgument,
                        fmt::format("the price file of {} ({}) has no prices for the service {}",
                                    prices.as_of, prices.region, use.service));
    }
    items.push_back({use.service, ServiceDollars(found->second, use)});
  }
  return items;
}

double TotalDollars(std::span<const CostItem> items) {
  double total = 0;
  for (const CostItem& item : items) total += item.dollars;
  return total;
}

}  // namespace lambdaml::report
