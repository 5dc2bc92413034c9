#include "lambdaml/train/step_size.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>
#include <set>

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {
namespace {

using optim::RegularizerKind;

// Calls use(problem, exchange) on each of the ranks that hold these shards.
void ForEachShard(const std::vector<LeastSquaresData>& shards,
                  const optim::Regularizer& regularizer,
                  const std::function<void(const Problem&, Exchange&)>& use) {
  int64_t rows_total = 0;
  for (const LeastSquaresData& shard : shards) rows_total += static_cast<int64_t>(shard.rows());
  ForEachRank(static_cast<int>(shards.size()), [&](store::Store& store,
                                                   const comm::Membership& membership) {
    LeastSquares objective(shards[static_cast<size_t>(membership.rank)]);
    const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
    Exchange exchange(*communicator);
    use({.objective = objective, .rows_total = rows_total, .regularizer = regularizer}, exchange);
  });
}

double MeanSquaredNorm(const LeastSquaresData& data) {
  double sum = 0;
  for (const auto& row : data.x)
    sum += std::inner_product(row.begin(), row.end(), row.begin(), 0.0);
  return sum / static_cast<double>(data.rows());
}

TEST(StepSize, TheMeanCurvatureIsThatOfAllRanksRows) {
  const LeastSquaresData data = MakeLeastSquares(20, 3, 1);
  ForEachShard(Cut(data, {13, 0, 7}), {}, [&](const Problem& problem, Exchange& exchange) {
    EXPECT_NEAR(MeanCurvature(problem, exchange), MeanSquaredNorm(data), 1e-12);
  });
}

TEST(StepSize, AGivenRateIsTakenAsItIsAndADerivedOneCountsTheL2Penalty) {
  const LeastSquaresData data = MakeLeastSquares(20, 3, 1);
  const double curvature = MeanSquaredNorm(data);
  for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    const double penalty = kind == RegularizerKind::kL2 ? 5 : 0;
    ForEachShard(Deal(data, 3), {kind, 5}, [&](const Problem& problem, Exchange& exchange) {
      wire::Job job;
      EXPECT_NEAR(InitialLearningRate(problem, exchange, job), 1 / (curvature + penalty), 1e-12);
      job.lr = 0.25;
      EXPECT_EQ(InitialLearningRate(problem, exchange, job), 0.25);
    });
  }
}

TEST(StepSize, DataOfZerosHasARateAllTheSame) {
  const LeastSquaresData zeros{2, {{0, 0}, {0, 0}}, {0, 0}};
  ForEachShard({zeros}, {}, [](const Problem& problem, Exchange& exchange) {
    EXPECT_EQ(InitialLearningRate(problem, exchange, {}), 1);
  });
}

TEST(StepSize, EachScheduleOfAJobIsTheOneOfItsName) {
  wire::Job job;
  job.n_epochs = 2;
  const auto at = [&](wire::LrSchedule schedule, int64_t step) {
    job.lr_schedule = schedule;
    return Batches(job, 4).LrAt(2, step / 4, step % 4);
  };
  EXPECT_EQ(at(wire::LrSchedule::kConstant, 7), 2);
  EXPECT_NEAR(at(wire::LrSchedule::kStep, 4), 0.2, 1e-15);
  EXPECT_NEAR(at(wire::LrSchedule::kInverseSqrt, 3), 1, 1e-15);
  EXPECT_NEAR(at(wire::LrSchedule::kCosine, 4), 1, 1e-15);
}

TEST(StepSize, TheLargestShardDecidesHowManyStepsAnEpochHas) {
  LeastSquares objective(MakeLeastSquares(1, 1, 1));
  const Problem problem = {.objective = objective, .rows_max = 101, .regularizer = {}};
  EXPECT_EQ(StepsPerEpoch(problem, 10), 11);
  EXPECT_EQ(StepsPerEpoch(problem, 101), 1);
  EXPECT_EQ(StepsPerEpoch(problem, 1000), 1);
  EXPECT_EQ(StepsPerEpoch(problem, 1), 101);
  EXPECT_EQ(StepsPerEpoch(problem, 0), 1);
}

TEST(BatchOrder, IsAPermutationByTheSeedAndTheEpochAndNothingElse) {
  wire::Job job;
  job.seed = 3;
  std::set<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < 10; ++epoch) {
    const std::vector<int64_t> order = BatchOrder(job, epoch, 20);
    wire::Job of_another_rank = job;
    of_another_rank.worker_index = 5;
    EXPECT_EQ(BatchOrder(of_another_rank, epoch, 20), order);
    std::vector<int64_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    std::vector<int64_t> all(20);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(sorted, all);
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 10U);
  job.seed = 4;
  EXPECT_FALSE(orders.contains(BatchOrder(job, 0, 20)));
}

}  // namespace
}  // namespace lambdaml::train
