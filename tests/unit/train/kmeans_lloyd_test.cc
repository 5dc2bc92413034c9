#include "lambdaml/train/kmeans_lloyd.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

struct LloydRun {
  KmeansResult result;
  std::vector<report::EpochRecord> records;
  uint64_t rounds = 0;
};

struct LloydCase {
  int64_t epochs_max = 300;
  double threshold = 0;
  comm::Pattern pattern = comm::Pattern::kReduce;
};

// Trains on all ranks, checks that they agree to the bit, and returns the run of rank 0.
LloydRun LloydOf(const Sharding& sharding, int workers, const Matrix& initial,
                 const LloydCase& options = {}) {
  std::vector<LloydRun> runs(static_cast<size_t>(workers));
  ForEachKmeansRank(
      sharding, workers,
      [&](const KmeansRank& rank) {
        LloydRun& run = runs[static_cast<size_t>(rank.membership.rank)];
        model::KMeansShard shard(rank.rows.rows(), rank.pool);
        WholeRun whole_run;
        run.result = *RunLloyd(
            shard, rank.rows, [&] { return CentroidsOf(initial); }, whole_run,
            {.epochs_max = options.epochs_max,
             .threshold = options.threshold,
             .communicating = [&] { return rank.peers.stats().communicating; },
             .on_epoch =
                 [&](const report::EpochRecord& record) { run.records.push_back(record); }});
        run.rounds = rank.peers.stats().rounds;
      },
      options.pattern);
  for (const LloydRun& run : runs) {
    EXPECT_EQ(run.result.centroids.values, runs.front().result.centroids.values);
    EXPECT_EQ(run.result.inertia, runs.front().result.inertia);
    EXPECT_EQ(run.result.epochs, runs.front().result.epochs);
    EXPECT_EQ(run.result.stopped_by, runs.front().result.stopped_by);
  }
  return runs.front();
}

Matrix FirstRows(const Matrix& rows, size_t k) {
  return {rows.begin(), rows.begin() + static_cast<ptrdiff_t>(k)};
}

double Extra(const report::EpochRecord& record, std::string_view name) {
  for (const auto& [key, value] : record.extra) {
    if (key == name) return value;
  }
  ADD_FAILURE() << "no " << name;
  return std::nan("");
}

void ExpectRelative(double actual, double expected, double error_max) {
  EXPECT_NEAR(actual, expected, error_max * std::abs(expected));
}

TEST(Lloyd, IsAPlainFloat64LloydOnTheWholeDataWhateverTheWorkers) {
  const Matrix rows = RandomRows(403, 7, 5, 1);
  const Matrix initial = FirstRows(rows, 6);
  for (const bool dense : {true, false}) {
    for (const int workers : {1, 2, 3, 4, 7}) {
      PlainLloyd plain(rows, initial);
      const LloydRun run = LloydOf(EvenShards(DatasetOf(rows, dense), workers), workers, initial);
      ExpectRelative(run.result.initial_inertia, plain.inertia(), 1e-9);
      ASSERT_GT(run.records.size(), 5U);
      for (const report::EpochRecord& record : run.records) {
        const auto before = plain.centroids();
        plain.Step();
        ExpectRelative(record.loss, plain.inertia(), 1e-6);
        EXPECT_EQ(Extra(record, "changed"), static_cast<double>(plain.changed()));
        EXPECT_EQ(record.cluster_sizes, plain.sizes());
        double movement = 0;
        for (size_t c = 0; c < before.size(); ++c) {
          double squared = 0;
          for (size_t j = 0; j < before[c].size(); ++j) {
            squared += std::pow(plain.centroids()[c][j] - before[c][j], 2);
          }
          movement += std::sqrt(squared) / static_cast<double>(before.size());
        }
        EXPECT_NEAR(Extra(record, "movement"), movement, 1e-6);
      }
      EXPECT_EQ(run.result.stopped_by, "convergence");
      EXPECT_EQ(plain.changed(), 0) << "it stopped when no row changed its cluster";
      EXPECT_EQ(run.result.cluster_sizes, plain.sizes());
    }
  }
}

TEST(Lloyd, GivesTheSameBitsInBothPatternsAndInEveryRun) {
  const Matrix rows = RandomRows(200, 5, 4, 2);
  const Sharding sharding = EvenShards(DatasetOf(rows), 3);
  const Matrix initial = FirstRows(rows, 4);
  const LloydRun once = LloydOf(sharding, 3, initial);
  const LloydRun again = LloydOf(sharding, 3, initial);
  const LloydRun scattered =
      LloydOf(sharding, 3, initial, {.pattern = comm::Pattern::kReduceScatter});
  EXPECT_EQ(once.result.centroids.values, again.result.centroids.values);
  EXPECT_EQ(once.result.centroids.values, scattered.result.centroids.values);
  EXPECT_EQ(once.result.inertia, scattered.result.inertia);
}

TEST(Lloyd, DiffersBetweenNumbersOfWorkersByNoMoreThanTheRoundingOfASum) {
  const Matrix rows = RandomRows(301, 6, 4, 3);
  const Matrix initial = FirstRows(rows, 5);
  const LloydRun alone = LloydOf(EvenShards(DatasetOf(rows), 1), 1, initial);
  for (const int workers : {2, 5, 8}) {
    const LloydRun run = LloydOf(EvenShards(DatasetOf(rows), workers), workers, initial);
    ASSERT_EQ(run.result.centroids.values.size(), alone.result.centroids.values.size());
    for (size_t i = 0; i < run.result.centroids.values.size(); ++i) {
      EXPECT_FLOAT_EQ(run.result.centroids.values[i], alone.result.centroids.values[i]);
    }
    EXPECT_EQ(run.result.epochs, alone.result.epochs);
  }
}

TEST(Lloyd, TakesOneRoundMoreThanEpochs) {
  const Matrix rows = RandomRows(100, 3, 3, 4);
  const LloydRun run =
      LloydOf(EvenShards(DatasetOf(rows), 2), 2, FirstRows(rows, 3), {.epochs_max = 2});
  EXPECT_EQ(run.result.stopped_by, "n_epochs");
  EXPECT_EQ(run.result.epochs, 2);
  EXPECT_EQ(run.records.size(), 2U);
  EXPECT_EQ(run.rounds, 3U);
}

TEST(Lloyd, StopsOnceCentroidsMoveNoMoreThanTheThreshold) {
  const Matrix rows = RandomRows(400, 4, 6, 5);
  const Matrix initial = FirstRows(rows, 6);
  const LloydRun whole = LloydOf(EvenShards(DatasetOf(rows), 2), 2, initial);
  const double threshold = 0.1;
  const LloydRun run =
      LloydOf(EvenShards(DatasetOf(rows), 2), 2, initial, {.threshold = threshold});
  EXPECT_EQ(run.result.stopped_by, "threshold");
  EXPECT_LT(run.result.epochs, whole.result.epochs);
  for (const report::EpochRecord& record : run.records) {
    EXPECT_EQ(Extra(record, "movement") <= threshold, record.epoch == run.result.epochs);
  }
}

TEST(Lloyd, OneClusterIsTheMean) {
  const Matrix rows = {{1, 10}, {2, 20}, {6, 0}};
  for (const int workers : {1, 3}) {
    const LloydRun run = LloydOf(EvenShards(DatasetOf(rows), workers), workers, {{5, 5}});
    EXPECT_EQ(MatrixOf(run.result.centroids), (Matrix{{3, 10}}));
    EXPECT_EQ(run.result.cluster_sizes, std::vector<int64_t>{3});
    EXPECT_EQ(run.result.inertia, 4 + 1 + 9 + 0 + 100 + 100);
  }
}

TEST(Lloyd, WorkersMayHaveFewerRowsThanClustersOrNone) {
  const Matrix rows = RandomRows(9, 3, 3, 6);
  const Matrix initial = FirstRows(rows, 4);
  const LloydRun alone = LloydOf(EvenShards(DatasetOf(rows), 1), 1, initial);
  const Sharding uneven = {.whole = DatasetOf(rows), .sizes = {1, 0, 7, 1}};
  const LloydRun run = LloydOf(uneven, 4, initial);
  EXPECT_EQ(run.result.cluster_sizes, alone.result.cluster_sizes);
  ExpectRelative(run.result.inertia, alone.result.inertia, 1e-9);
}

// Two groups and a row far off; the third centroid begins where nothing is near.
const Matrix kFarOff = {{0, 0}, {0, 1}, {10, 0}, {10, 1}, {0, 7}, {10, 8}};

TEST(Lloyd, AnEmptyClusterGetsTheFarthestRow) {
  for (const bool dense : {true, false}) {
    for (const int workers : {1, 2, 3}) {
      const LloydRun run = LloydOf(EvenShards(DatasetOf(kFarOff, dense), workers), workers,
                                   {{0, 0}, {10, 0}, {500, 500}}, {.epochs_max = 1});
      // The row farthest from its centroid is (10, 8); the others are the means as ever.
      EXPECT_EQ(run.result.centroids.row(2)[0], 10);
      EXPECT_EQ(run.result.centroids.row(2)[1], 8);
      EXPECT_FLOAT_EQ(run.result.centroids.row(0)[1], 8.0F / 3);
      EXPECT_FLOAT_EQ(run.result.centroids.row(1)[1], 9.0F / 3);
      EXPECT_EQ(Extra(run.records[0], "reseeded"), 1);
      EXPECT_EQ(Extra(run.records[0], "empty"), 0);
      EXPECT_EQ(run.result.reseeded, 1);
      EXPECT_EQ(run.rounds, 3U) << "one more, to find the row";
    }
  }
}

TEST(Lloyd, SeveralEmptyClustersGetDifferentRowsFarthestFirst) {
  for (const int workers : {1, 2, 6}) {
    const LloydRun run = LloydOf(EvenShards(DatasetOf(kFarOff), workers), workers,
                                 {{900, 0}, {0, 0}, {10, 0}, {500, 500}}, {.epochs_max = 1});
    EXPECT_EQ(MatrixOf(run.result.centroids)[0], (std::vector<float>{10, 8}));
    EXPECT_EQ(MatrixOf(run.result.centroids)[3], (std::vector<float>{0, 7}));
  }
}

TEST(Lloyd, OfEquallyFarRowsTheFirstOfTheDataIsTaken) {
  const Matrix rows = {{0}, {3}, {-3}, {3}, {-3}};
  for (const int workers : {1, 2, 5}) {
    const LloydRun run = LloydOf(EvenShards(DatasetOf(rows), workers), workers, {{0}, {99}, {98}},
                                 {.epochs_max = 1});
    // Rows 3 and 4 equal rows 1 and 2, so each place is taken once.
    EXPECT_EQ(MatrixOf(run.result.centroids), (Matrix{{0}, {3}, {-3}}));
  }
}

TEST(Lloyd, ConstantDataLeavesClustersEmptyAndEnds) {
  const Matrix rows(7, {2.5F, -1.0F});
  for (const int workers : {1, 3}) {
    const LloydRun run = LloydOf(EvenShards(DatasetOf(rows), workers), workers,
                                 {{2.5F, -1.0F}, {2.5F, -1.0F}, {2.5F, -1.0F}});
    EXPECT_EQ(run.result.stopped_by, "convergence");
    EXPECT_EQ(run.result.inertia, 0);
    EXPECT_EQ(run.result.cluster_sizes, (std::vector<int64_t>{7, 0, 0}));
    EXPECT_EQ(run.result.reseeded, 0);
  }
}

TEST(Lloyd, MoreClustersThanDifferentRowsFindThemAllAndEnd) {
  Matrix rows;
  for (int i = 0; i < 12; ++i) rows.push_back({static_cast<float>(i % 3), 1});
  for (const int workers : {1, 2, 4}) {
    const LloydRun run =
        LloydOf(EvenShards(DatasetOf(rows), workers), workers, Matrix(5, std::vector<float>{0, 0}));
    EXPECT_EQ(run.result.stopped_by, "convergence");
    EXPECT_EQ(run.result.inertia, 0);
    EXPECT_EQ(std::count(run.result.cluster_sizes.begin(), run.result.cluster_sizes.end(), 4), 3);
    EXPECT_EQ(std::count(run.result.cluster_sizes.begin(), run.result.cluster_sizes.end(), 0), 2);
  }
}

}  // namespace
}  // namespace lambdaml::train
