// One worker's share of a job, from payload to report: load its shards, train with its peers, leave
// the model. Nothing here knows on which platform it runs.
#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

struct WorkerEnvironment {
  int thread_count = 1;     // what the function's memory buys
  base::Deadline deadline;  // of this invocation
};

// What a worker says at its end: the function's response.
struct WorkerReport {
  int64_t rank = 0;
  int64_t started_epoch_ms = 0;  // wall clock when the payload was in hand
  double load_seconds = 0;
  double compute_seconds = 0;
  double synchronise_seconds = 0;
  uint64_t resident_bytes_max = 0;
  int64_t rows = 0;                      // of its shards
  std::vector<report::ServiceUse> uses;  // requests and bytes: data, channel

  // The result, the same from every rank.
  int64_t epochs = 0;
  std::string stopped_by;
  double objective = 0;
  double loss = 0;
  double accuracy = 0;
  int64_t valid_rows = 0;
  double valid_loss = 0;
  double valid_accuracy = 0;
  report::NamedNumbers details;
};

base::Json ToJson(const WorkerReport& report);
// Errors: kInvalidData.
WorkerReport WorkerReportFromJson(const base::Json& json);

// Runs the share of worker `job.worker_index`. Errors: those of the data, the store and the
// communicator; messages start with the rank where it is not obvious.
WorkerReport RunWorker(const wire::Job& job, const WorkerEnvironment& environment);

// Keys, relative to model_url, by which the trigger follows and ends a job.
std::string ProgressKey(const std::string& job_id, int64_t epoch);
inline constexpr const char* kModelKey = "model";

}  // namespace lambdaml::train
