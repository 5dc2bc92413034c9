#include <gtest/gtest.h>

#include "lambdaml/train/step_size.h"

#include "tests/unit/train/ranks.h"
#include "tests/unit/train/sgd_reference.h"

namespace lambdaml::train {
namespace {

using comm::Pattern;
using optim::RegularizerKind;

wire::Job ModelAvgJob(int64_t n_epochs, int64_t batch_size) {
  wire::Job job;
  job.optim = wire::Optim::kModelAvg;
  job.momentum = 0;
  job.n_epochs = n_epochs;
  job.batch_size = batch_size;
  job.lr = 0.1;
  return job;
}

TEST(ModelAvg, IsTheMeanOfTheLocalModelsWeightedByTheirRows) {
  const std::vector<LeastSquaresData> shards = Cut(MakeLeastSquares(40, 3, 1), {3, 30, 0, 7});
  wire::Job job = ModelAvgJob(2, 4);
  const optim::Regularizer regularizer = {RegularizerKind::kL2, 0.1};
  std::vector<double> expected(3, 0.0);
  for (const LeastSquaresData& shard : shards) {
    if (shard.rows() == 0) continue;
    // The steps of the largest shard: those beyond a shard's own rows are passed over.
    std::vector<int64_t> order;
    for (const int64_t batch : BatchOrder(job, 0, 8)) {
      if (static_cast<size_t>(4 * batch) < shard.rows()) order.push_back(batch);
    }
    const std::vector<double> local = ReferenceSgd(shard, job, regularizer, 4, {order}).w;
    for (size_t j = 0; j < 3; ++j) {
      expected[j] += static_cast<double>(shard.rows()) / 40 * local[j];
    }
  }
  for (const Pattern pattern : {Pattern::kReduce, Pattern::kReduceScatter}) {
    const auto runs = RunRanks(
        {.shards = shards, .job = job, .regularizer = regularizer, .pattern = pattern}, ModelAvgOf);
    for (const RankRun& run : runs) {
      for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(run.path[0][j], expected[j], 1e-6);
      EXPECT_EQ(run.result.parameters, runs[0].result.parameters);
    }
  }
}

TEST(ModelAvg, WithBatchesOfAllRowsAnEpochIsOneStepOnTheMeanOfAllRows) {
  const LeastSquaresData data = MakeLeastSquares(50, 4, 2);
  const optim::Regularizer regularizer = {RegularizerKind::kL2, 0.2};
  wire::Job job = ModelAvgJob(1, 0);
  const std::vector<double> expected = ReferenceSgd(data, job, regularizer, 50, {{0}}).w;
  const auto runs = RunRanks(
      {.shards = Cut(data, {5, 11, 34}), .job = job, .regularizer = regularizer}, ModelAvgOf);
  for (size_t j = 0; j < 4; ++j) {
    EXPECT_NEAR(runs[2].result.parameters[j], expected[j], 1e-6);
  }
}

TEST(ModelAvg, WithOneWorkerIsPlainSgd) {
  const LeastSquaresData data = MakeLeastSquares(33, 3, 6);
  for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    for (const double momentum : {0.0, 0.8}) {
      wire::Job job = ModelAvgJob(3, 5);
      job.momentum = momentum;
      job.lr_schedule = wire::LrSchedule::kCosine;
      std::vector<std::vector<int64_t>> orders;
      for (int64_t epoch = 0; epoch < 3; ++epoch) orders.push_back(BatchOrder(job, epoch, 7));
      const ReferenceRun expected = ReferenceSgd(data, job, {kind, 0.1}, 5, orders);
      const auto runs =
          RunRanks({.shards = {data}, .job = job, .regularizer = {kind, 0.1}}, ModelAvgOf);
      for (size_t j = 0; j < 3; ++j) {
        EXPECT_NEAR(runs[0].result.parameters[j], expected.w[j], 1e-5);
      }
    }
  }
}

TEST(ModelAvg, AnEpochIsOneRound) {
  const std::vector<LeastSquaresData> shards = Deal(MakeLeastSquares(20, 2, 4), 2);
  const auto runs = RunRanks({.shards = shards, .job = ModelAvgJob(5, 2)}, ModelAvgOf);
  EXPECT_EQ(runs[0].rounds, 7U);  // and two at the end, for the last sums and the evaluation
}

}  // namespace
}  // namespace lambdaml::train
