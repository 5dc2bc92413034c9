// What a run says about itself: one record for each epoch and a summary at the end, as structs and
// as JSON lines (--log). docs/run-log.md lists the keys, which stay as they are.
//
// A line is one object whose "event" is "epoch", "summary" or "error". What was not measured is
// left out; a loss that is infinite or not a number is null.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/report/cost.h"

namespace lambdaml::report {

// Further measurements by name, in the order in which they are shown.
using NamedNumbers = std::vector<std::pair<std::string, double>>;

// What a training makes small, as keys and tables name it.
enum class Objective {
  kLoss,     // "loss": mean loss of the rows, regularisation included
  kInertia,  // "inertia": sum of the rows' squared distances to their centroids
};

// "loss", "inertia".
std::string_view ObjectiveName(Objective objective);

// One pass over the training data, as all workers together made it.
struct EpochRecord {
  int64_t epoch = 0;  // from 1
  Objective objective = Objective::kLoss;
  double loss = 0;                      // the objective on the training rows, under its name
  std::optional<double> accuracy = {};  // 0..1
  std::optional<double> valid_loss = {};
  std::optional<double> valid_accuracy = {};
  double seconds = 0;
  double sync_share = 0;                    // of the seconds, spent synchronising: 0..1
  NamedNumbers extra = {};                  // "primal_residual", …
  std::vector<int64_t> cluster_sizes = {};  // rows of each cluster

  bool operator==(const EpochRecord&) const = default;
};

// Where the workers' time went, each the mean over the workers.
struct TimeParts {
  double startup_seconds = 0;  // from the invocation to the payload in the worker's hands
  double load_seconds = 0;
  double compute_seconds = 0;
  double synchronise_seconds = 0;

  bool operator==(const TimeParts&) const = default;
};

struct RunSummary {
  std::string model;  // "lr", …
  std::string optim;
  std::string sync_mode;
  std::string regularizer;  // "none", "l1", "l2"
  double lambda = 0;        // its strength, part of `loss`
  std::string platform;     // "local", "aws", "http"
  std::string channel;      // URL, without secrets
  int64_t worker_count = 0;
  int64_t rows = 0;  // trained on
  int64_t n_features = 0;

  int64_t epochs = 0;
  std::string stopped_by;  // why it ended: "n_epochs", "early_stopping", "convergence", …
  Objective objective = Objective::kLoss;
  double loss = 0;  // the objective, as in EpochRecord
  std::optional<double> accuracy = {};
  std::optional<double> valid_loss = {};
  std::optional<double> valid_accuracy = {};
  std::optional<double> test_loss = {};  // the objective without regularisation, on the test rows
  std::optional<double> test_accuracy = {};
  NamedNumbers extra = {};
  std::vector<int64_t> cluster_sizes = {};  // rows of each cluster

  double wall_seconds = 0;
  TimeParts time;
  int64_t invocations = 0;
  int64_t generations = 1;  // invocations of one rank that followed each other
  int64_t restarts = 0;     // of workers that had failed
  int64_t memory_mb = 0;    // of each function
  int64_t billed_ms = 0;    // of all invocations
  double gb_seconds = 0;
  std::vector<ServiceUse> services;
  std::vector<CostItem> cost;
  std::string prices_as_of;
  std::string prices_region;
  std::string model_path;

  bool operator==(const RunSummary&) const = default;
};

base::Json ToJson(const ServiceUse& use);  // without "event": a part of other records
base::Json ToJson(const EpochRecord& record);
base::Json ToJson(const RunSummary& summary);
base::Json ToJson(const base::Error& error);  // {"event":"error","code":…,"message":…}

// The inverse of ToJson; keys that are not known are ignored, so that old programs read new logs.
// Errors: kInvalidData for a missing key or a value of the wrong type.
ServiceUse ServiceUseFromJson(const base::Json& json);
EpochRecord EpochFromJson(const base::Json& json);
RunSummary SummaryFromJson(const base::Json& json);

}  // namespace lambdaml::report
