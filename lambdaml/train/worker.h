// One worker's share of a job, from payload to report: load its shards, train with its peers, leave
// the model. Nothing here knows on which platform it runs.
#pragma once

#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/train/worker_report.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

struct WorkerEnvironment {
  int thread_count = 1;     // what the function's memory buys
  base::Deadline deadline;  // of this invocation
};

// Runs the share of worker `job.worker_index`. Errors: those of the data, the store and the
// communicator; messages start with the rank where it is not obvious.
WorkerReport RunWorker(const wire::Job& job, const WorkerEnvironment& environment);

// Keys, relative to model_url, by which the trigger follows and ends a job.
std::string ProgressKey(const std::string& job_id, int64_t epoch);
inline constexpr const char* kModelKey = "model";
// Rank 0's outcome of a finished job, for invocations that come late.
std::string OutcomeKey(const std::string& job_id);

}  // namespace lambdaml::train
