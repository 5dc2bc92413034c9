#include "lambdaml/train/step_size.h"

#include <array>

#include "lambdaml/base/random.h"

namespace lambdaml::train {
optim::Schedule ScheduleOf(wire::LrSchedule schedule) {
  switch (schedule) {
    case wire::LrSchedule::kConstant:
      return optim::Schedule::kConstant;
    case wire::LrSchedule::kStep:
      return optim::Schedule::kStep;
    case wire::LrSchedule::kInverseSqrt:
      return optim::Schedule::kInverseSqrt;
    case wire::LrSchedule::kCosine:
      break;
  }
  return optim::Schedule::kCosine;
}

double MeanCurvature(const Problem& problem, Exchange& exchange) {
  std::array<double, 1> curvature = {
      problem.objective.CurvatureBound({0, problem.objective.rows()})};
  exchange.Sum(curvature, {});
  return curvature[0] / static_cast<double>(problem.rows_total);
}

double InitialLearningRate(const Problem& problem, Exchange& exchange, const wire::Job& job) {
  if (job.lr) return *job.lr;
  const double penalty =
      problem.regularizer.kind == optim::RegularizerKind::kL2 ? problem.regularizer.lambda : 0;
  const double curvature = MeanCurvature(problem, exchange) + penalty;
  // Data that is zero throughout has no curvature, and no gradient to scale either.
  return curvature > 0 ? 1 / curvature : 1;
}

optim::LocalSgdOptions LocalSgdOptionsOf(const Problem& problem, const wire::Job& job) {
  return {.batch_size = *job.batch_size,
          .momentum = job.momentum.value_or(0),
          .regularizer = problem.regularizer};
}

int64_t StepsPerEpoch(const Problem& problem, int64_t batch_size) {
  if (batch_size == 0) return 1;
  return (problem.rows_max + batch_size - 1) / batch_size;
}

std::vector<int64_t> BatchOrder(const wire::Job& job, int64_t epoch, int64_t steps) {
  return base::Permutation(
      steps, base::MixSeed(static_cast<uint64_t>(job.seed), static_cast<uint64_t>(epoch)));
}

std::span<const int64_t> Batches::OrderOf(int64_t epoch) {
  if (epoch != epoch_) {
    order_ = BatchOrder(job_, epoch, per_epoch_);
    epoch_ = epoch;
  }
  return order_;
}

optim::LearningRate Batches::Rate(double initial) const {
  return optim::LearningRate(ScheduleOf(job_.lr_schedule), initial, *job_.n_epochs * per_epoch_);
}

}  // namespace lambdaml::train
