// Prices of cloud services at a date, as data: config/prices.json is built in, and a file of the
// same form replaces it. docs/run-log.md describes the form.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace lambdaml::report {

// What one service that bills by request asks. A GB is 2^30 bytes, as in the bills of AWS.
struct ServicePrices {
  double dollars_per_million_puts = 0;
  double dollars_per_million_gets = 0;
  double dollars_per_million_lists = 0;
  double dollars_per_million_deletes = 0;
  double dollars_per_gb_read = 0;
  double dollars_per_gb_written = 0;
  double dollars_per_million_read_units = 0;  // DynamoDB's
  double dollars_per_million_write_units = 0;
};

struct LambdaPrices {
  double x86_64_dollars_per_gb_second = 0;
  double arm64_dollars_per_gb_second = 0;
  double dollars_per_million_requests = 0;
};

struct Prices {
  std::string as_of;  // "2025-07-01"
  std::string region;
  LambdaPrices lambda;
  std::map<std::string, ServicePrices, std::less<>> services;  // by Capabilities::service
  std::map<std::string, double, std::less<>> cache_node_dollars_per_hour;  // by type of node
  std::map<std::string, double, std::less<>> vm_dollars_per_hour;          // by instance type

  // Errors: kInvalidArgument, with the types there are, if the type is none of them.
  double CacheNodeDollarsPerHour(std::string_view type) const;
  double VmDollarsPerHour(std::string_view type) const;

  // Reads a price file; `origin` names it in errors. Every price is a finite number of dollars, not
  // negative; those of a service that are left out are 0; unknown keys are refused.
  // Errors: kInvalidData, naming the key.
  static Prices Parse(std::string_view text, std::string_view origin);

  // The prices built into the program.
  static Prices Embedded();
};

}  // namespace lambdaml::report
