// The loop a network goes through on each worker: steps, epochs, evaluation, the epoch that is
// kept, stopping.
#pragma once

#include <functional>
#include <optional>

#include "lambdaml/data/image_batch.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/train/cnn_data.h"
#include "lambdaml/train/generation.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/train/worker_report.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Rounds cost latency whatever their size, and what is sent at a time hides behind what is still
// computed: a few MB keep both in balance. A bucket ends with a tensor, and those of these networks
// have at most 9.4 MB.
inline constexpr size_t kBucketBytesMin = size_t{4} << 20;
inline constexpr size_t kLargestBucketBytes = kBucketBytesMin + (size_t{10} << 20);

struct CnnTraining {
  nn::Network& network;  // at the end it holds the finished model
  const CnnShards& shards;
  // Sets the first model and returns how images are normalised; called unless the generation has a
  // state to go on from.
  std::function<data::Normalisation()> begin;
  const wire::Job& job;  // resolved, with batch_size settled
  Peers& peers;
  Generation& generation;
  // Called with each epoch's record on every rank (asynchronous: of this rank's rows alone).
  std::function<void(const report::EpochRecord&)> on_epoch;
};

struct CnnResult {
  // Synchronous: the same on every rank, like the finished network. `details` has test_loss and
  // test_accuracy, if there are test images, weight_decay, and kept_epoch if epochs are compared.
  // Loss and accuracy are those of the kept epoch, as each row's step saw them (asynchronous: of
  // the finished model, on all rows), without the penalty.
  TrainingOutcome outcome;
  data::Normalisation normalisation;
};

// Trains; nothing if the generation ends before the job does. The state is whole after each step of
// grad_avg, and for model_avg after each epoch: a run that is cut there goes on bit for bit.
// Errors: kInvalidArgument when the loss is no longer finite; kCorrupt for a state that is not this
// job's; those of the communicator.
std::optional<CnnResult> TrainCnn(const CnnTraining& training);

}  // namespace lambdaml::train
