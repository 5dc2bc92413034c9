// Learning rates and penalties that nobody gave, derived from the data.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/train/algorithm.h"

namespace lambdaml::train {

optim::Schedule ScheduleOf(wire::LrSchedule schedule);

// An upper bound of the curvature of the mean loss over all workers' rows, Σ L_r / rows_total
// (model/objective.h). Takes one round.
double MeanCurvature(const Problem& problem, Exchange& exchange);

// The job's lr, or 1 / (mean curvature + lambda of l2), with which a gradient step on the mean loss
// never overshoots (Nesterov 2004, theorem 2.1.14). One round if it must be derived.
double InitialLearningRate(const Problem& problem, Exchange& exchange, const wire::Job& job);

optim::LocalSgdOptions LocalSgdOptionsOf(const Problem& problem, const wire::Job& job);

// Steps of one epoch: batches of the largest shard, so that every rank takes part in every round; a
// rank that has no rows left contributes none. batch_size 0 means the whole shard.
int64_t StepsPerEpoch(const Problem& problem, int64_t batch_size);

// The order in which an epoch visits its batches: the same on all ranks, so that N workers with
// batch b see together what one worker with batch N·b sees.
std::vector<int64_t> BatchOrder(const wire::Job& job, int64_t epoch, int64_t steps);

// The mini-batches of a run, as an algorithm goes through them. Threads: one.
class Batches {
 public:
  // The job must live as long.
  Batches(const wire::Job& job, int64_t per_epoch) : job_(job), per_epoch_(per_epoch) {}

  int64_t per_epoch() const { return per_epoch_; }
  // BatchOrder, kept while the epoch lasts.
  std::span<const int64_t> OrderOf(int64_t epoch);
  // The whole run's schedule, from the rate `initial` on.
  optim::LearningRate Rate(double initial) const;
  double LrAt(double initial, int64_t epoch, int64_t step) const {
    return Rate(initial).At(epoch * per_epoch_ + step);
  }

 private:
  const wire::Job& job_;
  const int64_t per_epoch_;
  int64_t epoch_ = -1;
  std::vector<int64_t> order_;
};

}  // namespace lambdaml::train
