// Every kind of channel that runs synchronise over, with a faulty network in front of it on demand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/fault_proxy.h"

namespace lambdaml::test {

enum class Requests { kUndisturbed, kFailing, kLate, kDamaged };

// For messages: "", " failing", …
const char* NameOf(Requests requests);

// Threads: one.
class DisturbedChannel {
 public:
  // Where one run meets, of which nothing may be left.
  struct Place {
    std::string url;         // through the faults
    std::string direct_url;  // past them
    std::unique_ptr<FaultProxy> proxy = nullptr;

    uint64_t failures() const { return proxy ? proxy->failures() : 0; }  // so far
  };

  virtual ~DisturbedChannel() = default;

  // A folder, each service that is installed, and the parameter server.
  static std::vector<std::unique_ptr<DisturbedChannel>> All(const std::string& folder);
  // To be called before the tests.
  static void StartServers();
  // Credentials that the services want.
  static std::vector<std::pair<std::string, std::string>> Environment();

  virtual std::string name() const = 0;
  virtual bool has_server() const { return true; }
  virtual bool is_slow() const { return false; }  // milliseconds for each request
  // The seed is of the faults.
  virtual Place Open(Requests requests, uint64_t seed) = 0;
  // What a run has left: its keys, or its jobs.
  virtual std::vector<std::string> Left(const Place& place) const;
};

}  // namespace lambdaml::test
