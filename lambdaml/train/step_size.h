// Learning rates and penalties that nobody gave, derived from the data.
#pragma once

#include <cstdint>
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

// The job's schedule from that rate over the run's steps. One round if the rate must be derived.
optim::LearningRate LearningRateOf(const Problem& problem, Exchange& exchange, const wire::Job& job,
                                   int64_t steps_total);

optim::LocalSgdOptions LocalSgdOptionsOf(const Problem& problem, const wire::Job& job);

// Steps of one epoch: batches of the largest shard, so that every rank takes part in every round; a
// rank that has no rows left contributes none. batch_size 0 means the whole shard.
int64_t StepsPerEpoch(const Problem& problem, int64_t batch_size);

// The order in which an epoch visits its batches: the same on all ranks, so that N workers with
// batch b see together what one worker with batch N·b sees.
std::vector<int64_t> BatchOrder(const wire::Job& job, int64_t epoch, int64_t steps);

}  // namespace lambdaml::train
