// What the server's connections share: jobs, models, memory, counters. The methods of ps.thrift
// call it (processor.h); status and metrics read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"
#include "lambdaml/ps/job_table.h"
#include "lambdaml/ps/lambdaml_models.h"
#include "lambdaml/ps/memory_budget.h"
#include "lambdaml/ps/server_transport.h"

namespace lambdaml::ps {

struct ServiceOptions {
  std::string folder;  // journals, for a restart; "": none
  std::string token;   // every client must know it; "": none
  uint64_t memory_max_bytes = uint64_t{2} << 30;
  size_t jobs_max = 1000;
  int32_t slice_size_max_bytes = 64 << 20;  // of one message of a vector
};

struct ServiceCounters {
  std::atomic<uint64_t> connections_accepted{0};
  std::atomic<uint64_t> connections_refused{0};
  std::atomic<int64_t> connections_open{0};
  std::atomic<uint64_t> calls{0};
  std::atomic<uint64_t> calls_refused{0};
  std::atomic<uint64_t> slices_exchanged{0};
  std::atomic<uint64_t> slices_merged{0};
};

// Threads: any.
class Service {
 public:
  // Recovers what the folder holds.
  explicit Service(ServiceOptions options);

  const ServiceOptions& options() const { return options_; }
  MemoryBudget& budget() { return budget_; }
  JobTable& jobs() { return jobs_; }
  LambdamlModels& models() { return models_; }
  ServiceCounters& counters() { return counters_; }
  TransportMeter& transport_meter() { return transport_meter_; }

  // Drops what nobody has used for `idle_max`, and says so.
  void Expire(base::Duration idle_max);
  // To be called now and then, at least each second, for the rates of Status.
  void SampleRates();

  base::Json Status() const;
  // The same numbers in Prometheus's text format, version 0.0.4.
  std::string Metrics() const;

 private:
  struct Sample {
    base::TimePoint at;
    uint64_t bytes_received = 0;
    uint64_t bytes_sent = 0;
    uint64_t calls = 0;
  };
  Sample TakeSample() const;

  const ServiceOptions options_;
  const base::TimePoint started_;
  MemoryBudget budget_;
  JobTable jobs_;
  LambdamlModels models_;
  ServiceCounters counters_;
  TransportMeter transport_meter_;
  mutable std::mutex mutex_;  // guards samples_
  std::vector<Sample> samples_;
};

}  // namespace lambdaml::ps
