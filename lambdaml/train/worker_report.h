// What a worker says at its end: the function's response, as struct and as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/base/json.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/report/run_record.h"

namespace lambdaml::train {

// What a training comes to; what its kind of model does not measure is left open.
struct TrainingOutcome {
  int64_t epochs = 0;
  std::string stopped_by = {};
  double loss = 0;  // the objective over all training rows
  std::optional<double> accuracy = {};
  std::optional<double> valid_loss = {};
  std::optional<double> valid_accuracy = {};
  report::NamedNumbers details = {};
  std::vector<int64_t> cluster_sizes = {};

  bool operator==(const TrainingOutcome&) const = default;
};

struct WorkerReport {
  int64_t rank = 0;
  int64_t started_epoch_ms = 0;  // wall clock when the payload was in hand
  double load_seconds = 0;
  double compute_seconds = 0;
  double synchronise_seconds = 0;
  uint64_t resident_bytes_max = 0;
  int64_t rows = 0;                      // of its shards
  std::vector<report::ServiceUse> uses;  // requests and bytes: data, channel
  bool is_finished = true;               // false: the job goes on in the rank's next generation
  TrainingOutcome outcome;               // of a finished job, the same from every rank
};

base::Json ToJson(const TrainingOutcome& outcome);
// Errors: kInvalidData.
TrainingOutcome OutcomeFromJson(const base::Json& json);

base::Json ToJson(const WorkerReport& report);
// Errors: kInvalidData.
WorkerReport WorkerReportFromJson(const base::Json& json);

}  // namespace lambdaml::train
