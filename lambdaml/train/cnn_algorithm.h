// How the workers of a job learn one network together: what a step computes, what is exchanged, and
// when. docs/cnn.md has the equations; the trainer (cnn_trainer.h) runs epochs.
#pragma once

#include <cstddef>
#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/train/cnn_data.h"
#include "lambdaml/train/cnn_metrics.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/wire/job.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::train {

// What all algorithms work with. All must live as long as the algorithm.
struct CnnProblem {
  nn::Network& network;  // holds the initial model, the same on every rank
  Peers& peers;
  SumsCourier& sums;
  const wire::Job& job;     // resolved
  double own_share = 1;     // this worker's share of all training rows
  size_t bucket_bytes = 0;  // least size of what GradientExchange sends at a time
};

// Invariant: after EndEpoch every rank of a synchronous algorithm holds the same parameters and
// statistics, bit for bit.
class CnnAlgorithm {
 public:
  virtual ~CnnAlgorithm() = default;

  // Called before the first step: the network holds the first model; or VisitState has set an
  // earlier invocation's state.
  virtual void Begin() {}
  virtual void Resume() {}

  // One step on a batch, which has no rows if this worker has none left. share: the batch's rows
  // over those of all ranks in this step.
  virtual nn::BatchStats Step(const ImageBatch& batch, float share, float lr) = 0;

  // The epoch's steps are over.
  virtual void EndEpoch() = 0;

  // Called once when all ranks have ended their last epoch: asynchronous algorithms take the
  // finished model into the network here.
  virtual void Settle() {}

  // Whether the state is whole after each step, or else only when an epoch has ended.
  virtual bool is_whole_between_steps() const = 0;

  // What the rest of the run depends on, the network's contents included.
  virtual void VisitState(wire::RankState& state) = 0;

  // Time in which this worker had nothing to do but wait for peers and channel.
  virtual base::Duration waited() const = 0;
};

// As job.optim and job.sync_mode say. Rounds:
//   grad_avg   a round for each bucket of a step's gradient, and one of the statistics an epoch
//   model_avg  one of parameters and statistics an epoch
//   async      none; a merge of parameters and statistics each step (grad_avg) or epoch (model_avg)
std::unique_ptr<CnnAlgorithm> MakeCnnAlgorithm(const CnnProblem& problem);

}  // namespace lambdaml::train
