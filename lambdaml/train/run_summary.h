// From what the workers of a run have told at their end to its summary and its cost.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/report/cost.h"
#include "lambdaml/report/prices.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/train/worker_report.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// What a run has come to.
struct RunFigures {
  std::vector<WorkerReport> workers = {};            // by rank, of all their invocations together
  std::vector<report::Invocation> invocations = {};  // as billed
  std::vector<report::ServiceUse> uses = {};         // of the trigger itself
  int64_t invoked_epoch_ms = 0;
  int64_t generations = 0;
  int64_t restarts = 0;
  double seconds = 0;  // of the run so far
};

// Those of --prices, or the built-in ones. Errors: those of reading the file.
report::Prices PricesOf(const wire::Job& job);

// The nodes of the job's channel, if it says which.
std::optional<report::CacheNodes> CacheNodesOf(const wire::Job& job, double seconds);

// Nothing is lost at the end of a run for want of a price. Errors: kInvalidArgument if `prices` do
// not know the channel's service or its nodes.
void CheckPrices(const wire::Job& job, const report::Prices& prices, std::string_view service);

// What a run under way has cost: functions and cache nodes; its requests are known to its workers
// only.
double DollarsSoFar(const wire::Job& job, const report::Prices& prices,
                    std::span<const report::Invocation> invocations, double seconds);

// Throws if the run has gone over --deadline (kDeadlineExceeded) or --max_cost
// (kResourceExhausted); `hint` says how to go on. dollars: called if it matters.
void CheckLimits(const wire::Job& job, double seconds, const std::function<double()>& dollars,
                 const std::function<std::string()>& hint);

// Fills in what the figures tell. The rest is the workload's and the caller's.
void Summarise(const wire::Job& job, const RunFigures& figures, const report::Prices& prices,
               report::RunSummary& summary);

}  // namespace lambdaml::train
