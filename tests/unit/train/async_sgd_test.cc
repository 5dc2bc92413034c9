#include <algorithm>
#include <gtest/gtest.h>
#include <numeric>

#include "lambdaml/train/step_size.h"

#include "tests/unit/train/pulling_rows.h"
#include "tests/unit/train/ranks.h"
#include "tests/unit/train/sgd_reference.h"

namespace lambdaml::train {
namespace {

using optim::RegularizerKind;

wire::Job AsyncJob(wire::Optim optim, int64_t n_epochs, int64_t batch_size) {
  wire::Job job;
  job.optim = optim;
  job.momentum = 0;
  job.sync_mode = wire::SyncMode::kAsync;
  job.n_epochs = n_epochs;
  job.batch_size = batch_size;
  job.lr = 0.05;
  return job;
}

std::unique_ptr<Algorithm> AsyncOf(Rank rank) {
  const bool grad_avg = rank.job.optim == wire::Optim::kGradAvg;
  return (grad_avg ? MakeAsyncGradAvg : MakeAsyncModelAvg)(
      rank.problem, rank.exchange, *rank.shared, rank.job, std::move(rank.initial));
}

TEST(AsyncSgd, WithOneWorkerIsSynchronousSgd) {
  const LeastSquaresData data = MakeLeastSquares(33, 3, 6);
  for (const auto optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    for (const auto kind : {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
      wire::Job job = AsyncJob(optim, 3, 5);
      job.momentum = 0.8;
      job.lr_schedule = wire::LrSchedule::kCosine;
      std::vector<std::vector<int64_t>> orders;
      for (int64_t epoch = 0; epoch < 3; ++epoch) orders.push_back(BatchOrder(job, epoch, 7));
      const ReferenceRun expected = ReferenceSgd(data, job, {kind, 0.1}, 5, orders);
      const auto runs =
          RunRanks({.shards = {data}, .job = job, .regularizer = {kind, 0.1}}, AsyncOf);
      for (size_t j = 0; j < 3; ++j) {
        EXPECT_NEAR(runs[0].result.parameters[j], expected.w[j], 1e-5);
      }
    }
  }
}

// What all ranks find at the end: the sum of `expected` over ranks.
void ExpectEveryChange(wire::Optim optim, const std::vector<int64_t>& rows, float expected) {
  wire::Job job = AsyncJob(optim, 20, 4);
  job.lr = 0.25;
  ForEachRank(
      static_cast<int>(rows.size()), [&](store::Store& store, const comm::Membership& membership) {
        PullingRows objective(rows[static_cast<size_t>(membership.rank)], 3000);
        PullingRows valid(0, 3000);
        const Problem problem = {.objective = objective,
                                 .rows_total = 30,
                                 .rows_max = *std::max_element(rows.begin(), rows.end()),
                                 .regularizer = {}};
        const auto communicator = comm::MakeCommunicator(comm::Pattern::kReduce, store, membership);
        const auto shared = comm::MakeSharedModel(store, membership, 3000);
        Exchange exchange(*communicator);
        const auto algorithm = AsyncOf({membership.rank, problem, exchange, job, shared.get(),
                                        std::vector<float>(3000, 100.0F)});
        WholeRun whole_run;
        const TrainerResult result = *Train(*algorithm, problem, valid, exchange, whole_run,
                                            {.epochs_max = *job.n_epochs,
                                             .synchronous = false,
                                             .communicating = [] { return base::Duration(); },
                                             .on_epoch = [](const report::EpochRecord&) {}});
        EXPECT_EQ(result.parameters, std::vector<float>(3000, 100 + expected));
        EXPECT_EQ(result.train.rows, std::accumulate(rows.begin(), rows.end(), int64_t{0}));
      });
}

TEST(AsyncSgd, TheFinishedModelHoldsEveryChangeOfEveryWorker) {
  // Steps of 0.25 with a mean gradient of −1: 20 epochs of 4, 2, 3 and 0 batches.
  ExpectEveryChange(wire::Optim::kGradAvg, {16, 5, 9, 0}, 20 * (4 + 2 + 3) * 0.25F);
  // A quarter of each local epoch.
  ExpectEveryChange(wire::Optim::kModelAvg, {16, 5, 9, 0}, 20 * (4 + 2 + 3) * 0.25F / 4);
}

TEST(AsyncSgd, SeveralWorkersComeCloseToTheSolution) {
  const LeastSquaresData data = MakeLeastSquares(200, 3, 9);
  const std::vector<double> solution = RidgeSolution(data, 0.1);
  for (const auto optim : {wire::Optim::kGradAvg, wire::Optim::kModelAvg}) {
    wire::Job job = AsyncJob(optim, 60, 10);
    job.lr_schedule = wire::LrSchedule::kCosine;
    const auto runs = RunRanks(
        {.shards = Deal(data, 3), .job = job, .regularizer = {RegularizerKind::kL2, 0.1}}, AsyncOf);
    for (const RankRun& run : runs) {
      EXPECT_EQ(run.result.parameters, runs[0].result.parameters);
      EXPECT_EQ(run.result.epochs, 60);
      for (size_t j = 0; j < 3; ++j) EXPECT_NEAR(run.result.parameters[j], solution[j], 0.1);
    }
  }
}

TEST(AsyncSgd, AWorkerReportsItsOwnRowsAsItGoes) {
  const auto runs = RunRanks({.shards = Cut(MakeLeastSquares(30, 2, 9), {10, 20}),
                              .job = AsyncJob(wire::Optim::kGradAvg, 4, 5)},
                             AsyncOf);
  for (const RankRun& run : runs) {
    ASSERT_EQ(run.records.size(), 4U);
    for (int64_t epoch = 1; epoch <= 4; ++epoch) {
      EXPECT_EQ(run.records[static_cast<size_t>(epoch - 1)].epoch, epoch);
    }
    EXPECT_EQ(run.rounds, 2U);  // the end of training, and the evaluation
    EXPECT_EQ(run.result.train.rows, 30);
  }
}

}  // namespace
}  // namespace lambdaml::train
