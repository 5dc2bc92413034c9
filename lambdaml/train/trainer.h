// The loop every synchronous or asynchronous run goes through on each worker: epochs, metrics,
// stopping rules, the final evaluation.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/report/run_record.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/generation.h"

namespace lambdaml::train {

struct TrainerOptions {
  int64_t epochs_max = 0;
  int64_t patience = 0;     // epochs without better validation loss before stopping; 0: never
  bool synchronous = true;  // false: ranks run on their own, and meet only at the end
  // Time spent in the channel so far, for the share of synchronisation.
  std::function<base::Duration()> communicating;
  // Called with each epoch's record on every rank (asynchronous: of this rank's rows alone).
  std::function<void(const report::EpochRecord&)> on_epoch;
};

struct TrainerResult {
  std::vector<float> parameters;
  int64_t epochs = 0;
  std::string stopped_by;  // "n_epochs", "convergence", "early_stopping"
  double objective = 0;    // mean training loss + penalty at `parameters`
  model::LossStats train;  // over all ranks' rows, at `parameters`
  model::LossStats valid;
  report::NamedNumbers details;  // the algorithm's, of the last epoch
};

// Trains, from the beginning or from where an earlier generation ended. `valid` may have no rows.
// Every rank gets the same result (asynchronous: the same but for the epochs); nothing if the
// generation ended first. Rounds: those of the algorithm, and at the end one for the last epoch's
// sums and one for the evaluation. Errors: kInvalidArgument on every rank when the loss is no
// longer finite; those of the communicator.
std::optional<TrainerResult> Train(Algorithm& algorithm, const Problem& problem,
                                   model::Objective& valid, Exchange& exchange,
                                   Generation& generation, const TrainerOptions& options);

}  // namespace lambdaml::train
