#include <gtest/gtest.h>

#include "lambdaml/train/step_size.h"

#include "tests/unit/train/ranks.h"
#include "tests/unit/train/sgd_reference.h"

namespace lambdaml::train {
namespace {

using comm::Pattern;
using optim::RegularizerKind;

wire::Job GradAvgJob(int64_t n_epochs, int64_t batch_size) {
  wire::Job job;
  job.optim = wire::Optim::kGradAvg;
  job.momentum = 0;
  job.n_epochs = n_epochs;
  job.batch_size = batch_size;
  job.seed = 11;
  return job;
}

std::vector<std::vector<int64_t>> OrdersOf(const wire::Job& job, int64_t steps) {
  std::vector<std::vector<int64_t>> orders;
  for (int64_t epoch = 0; epoch < *job.n_epochs; ++epoch) {
    orders.push_back(BatchOrder(job, epoch, steps));
  }
  return orders;
}

void ExpectNear(const std::vector<float>& actual, const std::vector<double>& expected,
                double bound) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], bound) << i;
}

// Rounding: with rates below 2/L a step does not enlarge what is wrong already, and adds an ulp of
// w (|w| < 8, so 2^-21) and three of lr times the gradient (also below 8): 2^-19 a step at most.
constexpr double kStepRounding = 1.0 / (1 << 19);

TEST(GradAvg, WorkersWithABatchComputeWhatOneWithTheirTotalBatchComputes) {
  constexpr int64_t kTotalBatch = 84;
  const LeastSquaresData data = MakeLeastSquares(3 * kTotalBatch + 50, 5, 2);
  for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    for (const double momentum : {0.0, 0.5}) {
      for (const size_t workers : {1U, 2U, 3U, 4U, 7U}) {
        wire::Job job = GradAvgJob(3, kTotalBatch / static_cast<int64_t>(workers));
        job.lr = 0.1;
        job.momentum = momentum;
        job.lr_schedule = wire::LrSchedule::kInverseSqrt;
        const optim::Regularizer regularizer = {kind, 0.05};
        const auto orders = OrdersOf(job, 4);
        const ReferenceRun expected = ReferenceSgd(data, job, regularizer, kTotalBatch, orders);
        const auto runs = RunRanks(
            {.shards = Deal(data, workers), .job = job, .regularizer = regularizer}, GradAvgOf);
        // Momentum carries an error on for 1 / (1 − μ) steps.
        ExpectNear(runs[0].result.parameters, expected.w, 12 / (1 - momentum) * kStepRounding);
        for (const RankRun& run : runs) {
          EXPECT_EQ(run.result.parameters, runs[0].result.parameters);
        }
      }
    }
  }
}

TEST(GradAvg, AShardThatEndsEarlierNeitherHangsNorBiases) {
  // Batches of 4 rows: rank 0 has five, rank 1 two and a half, rank 2 one row, rank 3 none.
  const std::vector<size_t> counts = {20, 10, 1, 0};
  const LeastSquaresData data = MakeLeastSquares(31, 3, 3);
  const std::vector<LeastSquaresData> shards = Cut(data, counts);
  // The same rows, ordered so that batch k of one worker is what the ranks have as their batch k.
  for (const Pattern pattern : {Pattern::kReduce, Pattern::kReduceScatter}) {
    wire::Job job = GradAvgJob(4, 4);
    job.lr = 0.05;
    const auto runs = RunRanks({.shards = shards, .job = job, .pattern = pattern}, GradAvgOf);
    std::vector<double> w(3, 0.0);
    for (const std::vector<int64_t>& order : OrdersOf(job, 5)) {
      for (const int64_t batch : order) {
        std::vector<double> gradient(3, 0.0);
        double rows = 0;
        for (const LeastSquaresData& shard : shards) {
          for (auto r = static_cast<size_t>(4 * batch);
               r < std::min(shard.rows(), static_cast<size_t>(4 * batch + 4)); ++r) {
            const double residual = Residual(shard, r, w);
            for (size_t j = 0; j < 3; ++j) gradient[j] += residual * shard.x[r][j];
            ++rows;
          }
        }
        for (size_t j = 0; j < 3; ++j) w[j] -= *job.lr * gradient[j] / rows;
      }
    }
    for (const RankRun& run : runs) {
      ExpectNear(run.result.parameters, w, 20 * kStepRounding);
      EXPECT_EQ(run.result.train.rows, 31);
    }
  }
}

TEST(GradAvg, FullBatchDescentReachesTheRidgeAndTheLassoSolution) {
  const LeastSquaresData data = MakeLeastSquares(60, 4, 5);
  for (const double lambda : {0.0, 0.3}) {
    const Training ridge = {.shards = Deal(data, 3),
                            .job = GradAvgJob(200, 0),
                            .regularizer = {RegularizerKind::kL2, lambda}};
    ExpectNear(RunRanks(ridge, GradAvgOf)[1].result.parameters, RidgeSolution(data, lambda), 2e-6);
  }
  const Training lasso = {.shards = Deal(data, 3),
                          .job = GradAvgJob(200, 0),
                          .regularizer = {RegularizerKind::kL1, 0.4}};
  const std::vector<double> expected = LassoSolution(data, 0.4);
  EXPECT_EQ(std::count(expected.begin(), expected.end(), 0.0), 1);
  const std::vector<float> actual = RunRanks(lasso, GradAvgOf)[2].result.parameters;
  ExpectNear(actual, expected, 2e-6);
  for (size_t i = 0; i < actual.size(); ++i) EXPECT_EQ(actual[i] == 0, expected[i] == 0) << i;
}

TEST(GradAvg, MomentumAndRateFollowTheScalarRecurrence) {
  // One row of each rank: f = ½(w − 1)² and ½(3w − 6)², the mean gradient is 5w − 9.5.
  const std::vector<LeastSquaresData> shards = {{1, {{1}}, {1}}, {1, {{3}}, {6}}};
  wire::Job job = GradAvgJob(6, 1);
  job.lr = 0.1;
  job.momentum = 0.9;
  job.lr_schedule = wire::LrSchedule::kStep;
  const auto runs = RunRanks({.shards = shards, .job = job}, GradAvgOf);
  double w = 0;
  double v = 0;
  const std::vector<double> rates = {0.1, 0.1, 0.1, 0.01, 0.01, 0.001};
  for (size_t step = 0; step < rates.size(); ++step) {
    v = 0.9 * v + (5 * w - 9.5);
    w -= rates[step] * v;
    EXPECT_NEAR(runs[1].path[step][0], w, 1e-5) << step;
  }
}

TEST(GradAvg, EpochLossesAreThoseTheStepsSawPlusThePenalty) {
  const LeastSquaresData data = MakeLeastSquares(40, 3, 8);
  wire::Job job = GradAvgJob(3, 5);
  job.lr = 0.05;
  const optim::Regularizer regularizer = {RegularizerKind::kL2, 0.2};
  const ReferenceRun expected = ReferenceSgd(data, job, regularizer, 10, OrdersOf(job, 4));
  const auto runs =
      RunRanks({.shards = Deal(data, 2), .job = job, .regularizer = regularizer}, GradAvgOf);
  ASSERT_EQ(runs[0].records.size(), 3U);
  for (size_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<float>& w = runs[0].path[epoch];
    double penalty = 0;
    for (const float value : w) penalty += 0.1 * static_cast<double>(value) * value;
    EXPECT_NEAR(runs[0].records[epoch].loss, expected.losses[epoch] / 40 + penalty, 1e-5);
  }
}

TEST(GradAvg, BitsAreEqualOverRanksPatternsAndRuns) {
  const std::vector<LeastSquaresData> shards = Cut(MakeLeastSquares(70, 9, 4), {40, 5, 25});
  wire::Job job = GradAvgJob(5, 4);
  const auto run = [&](Pattern pattern) {
    return RunRanks({.shards = shards, .job = job, .pattern = pattern}, GradAvgOf);
  };
  const std::vector<float> first = run(Pattern::kReduce)[0].result.parameters;
  for (const Pattern pattern : {Pattern::kReduce, Pattern::kReduceScatter, Pattern::kReduce}) {
    for (const RankRun& rank : run(pattern)) EXPECT_EQ(rank.result.parameters, first);
  }
}

TEST(GradAvg, AStepIsARoundAndTheMetricsAddOneAtTheEndAndOneForTheRate) {
  const std::vector<LeastSquaresData> shards = Deal(MakeLeastSquares(20, 2, 4), 2);
  wire::Job job = GradAvgJob(3, 5);
  // 3 epochs of 2 steps, the last epoch's sums, the final evaluation.
  job.lr = 0.1;
  EXPECT_EQ(RunRanks({.shards = shards, .job = job}, GradAvgOf)[0].rounds, 8U);
  job.lr.reset();
  EXPECT_EQ(RunRanks({.shards = shards, .job = job}, GradAvgOf)[0].rounds, 9U);
}

}  // namespace
}  // namespace lambdaml::train
