#include "lambdaml/train/kmeans_mini_batch.h"

#include <cmath>
#include <gtest/gtest.h>
#include <numeric>

#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

struct MiniBatchCase {
  int64_t epochs_max = 3;
  int64_t batch_size = 10;
  double threshold = 0;
  uint64_t seed = 5;
  bool async = false;
  comm::Pattern pattern = comm::Pattern::kReduce;
};

struct MiniBatchRun {
  KmeansResult result;
  std::vector<report::EpochRecord> records;
  uint64_t rounds = 0;
  std::vector<float> shared;  // asynchronous: the shared model at the end
};

std::vector<MiniBatchRun> MiniBatchOf(const Sharding& sharding, int workers, const Matrix& initial,
                                      const MiniBatchCase& options) {
  std::vector<MiniBatchRun> runs(static_cast<size_t>(workers));
  ForEachKmeansRank(
      sharding, workers,
      [&](const KmeansRank& rank) {
        MiniBatchRun& run = runs[static_cast<size_t>(rank.membership.rank)];
        const model::Centroids first = CentroidsOf(initial);
        const size_t size = SharedModelSize(first.k, first.n_features);
        const auto shared =
            options.async ? comm::MakeSharedModel(rank.store, rank.membership, size) : nullptr;
        WholeRun whole_run;
        run.result = *RunMiniBatch(
            rank.rows, [&] { return first; }, whole_run,
            {.epochs_max = options.epochs_max,
             .threshold = options.threshold,
             .communicating = [&] { return rank.peers.stats().communicating; },
             .on_epoch = [&](const report::EpochRecord& record) { run.records.push_back(record); }},
            {.batch_size = options.batch_size, .seed = options.seed, .shared = shared.get()},
            rank.pool);
        run.rounds = rank.peers.stats().rounds;
        if (!shared) return;
        run.shared.resize(size);
        shared->Join(run.shared);
      },
      options.pattern);
  for (const MiniBatchRun& run : runs) {
    EXPECT_EQ(run.result.centroids.values, runs.front().result.centroids.values);
    EXPECT_EQ(run.result.inertia, runs.front().result.inertia);
    EXPECT_EQ(run.result.cluster_sizes, runs.front().result.cluster_sizes);
  }
  return runs;
}

size_t NearestOf(const std::vector<float>& row, const std::vector<std::vector<double>>& centroids) {
  size_t nearest = 0;
  for (size_t c = 1; c < centroids.size(); ++c) {
    if (Squared(row, centroids[c]) < Squared(row, centroids[nearest])) nearest = c;
  }
  return nearest;
}

// Sculley's algorithm 1 in float64, whose batch is the union of the workers' batches.
std::vector<std::vector<double>> PlainMiniBatch(const Matrix& rows, const Sharding& sharding,
                                                const Matrix& initial,
                                                const MiniBatchCase& options) {
  std::vector<std::vector<double>> centroids;
  for (const auto& row : initial) centroids.emplace_back(row.begin(), row.end());
  std::vector<double> counts(centroids.size(), 0.0);
  const int64_t largest = *std::max_element(sharding.sizes.begin(), sharding.sizes.end());
  for (int64_t epoch = 0; epoch < options.epochs_max; ++epoch) {
    for (int64_t begin = 0; begin < largest; begin += options.batch_size) {
      std::vector<std::pair<size_t, size_t>> batch;  // row, cluster
      int64_t offset = 0;
      for (size_t rank = 0; rank < sharding.sizes.size(); ++rank) {
        const uint64_t seed = base::MixSeed(options.seed, static_cast<uint64_t>(epoch));
        const auto order = base::Permutation(sharding.sizes[rank], base::MixSeed(seed, rank));
        const int64_t end = std::min(begin + options.batch_size, sharding.sizes[rank]);
        for (int64_t i = begin; i < end; ++i) {
          const auto row = static_cast<size_t>(offset + order[static_cast<size_t>(i)]);
          batch.emplace_back(row, NearestOf(rows[row], centroids));
        }
        offset += sharding.sizes[rank];
      }
      for (const auto& [row, c] : batch) {
        const double rate = 1 / ++counts[c];
        for (size_t j = 0; j < centroids[c].size(); ++j) {
          centroids[c][j] = (1 - rate) * centroids[c][j] + rate * rows[row][j];
        }
      }
    }
  }
  return centroids;
}

TEST(MiniBatch, IsSculleysOverTheWorkersBatchesTogether) {
  const Matrix rows = RandomRows(97, 5, 4, 1);
  const Matrix initial = {rows[0], rows[1], rows[2]};
  for (const bool dense : {true, false}) {
    for (const int workers : {1, 2, 4}) {
      const Sharding sharding = EvenShards(DatasetOf(rows, dense), workers);
      const auto run = MiniBatchOf(sharding, workers, initial, {}).front();
      const auto plain = PlainMiniBatch(rows, sharding, initial, {});
      for (size_t c = 0; c < plain.size(); ++c) {
        for (size_t j = 0; j < plain[c].size(); ++j) {
          EXPECT_NEAR(MatrixOf(run.result.centroids)[c][j], plain[c][j], 1e-5);
        }
      }
      double inertia = 0;
      for (const auto& row : rows) inertia += Squared(row, plain[NearestOf(row, plain)]);
      EXPECT_NEAR(run.result.inertia, inertia, 1e-4 * inertia);
      EXPECT_EQ(run.result.stopped_by, "n_epochs");
      EXPECT_EQ(run.records.size(), 3U);
    }
  }
}

TEST(MiniBatch, GivesTheSameBitsInBothPatternsAndInEveryRun) {
  const Matrix rows = RandomRows(80, 4, 3, 2);
  const Matrix initial = {rows[0], rows[1]};
  const Sharding sharding = EvenShards(DatasetOf(rows), 3);
  const auto once = MiniBatchOf(sharding, 3, initial, {});
  const auto again = MiniBatchOf(sharding, 3, initial, {});
  const auto scattered =
      MiniBatchOf(sharding, 3, initial, {.pattern = comm::Pattern::kReduceScatter});
  EXPECT_EQ(once[0].result.centroids.values, again[0].result.centroids.values);
  EXPECT_EQ(once[0].result.centroids.values, scattered[0].result.centroids.values);
}

TEST(MiniBatch, TakesARoundForEachStepOfTheLargestShard) {
  const Matrix rows = RandomRows(50, 4, 3, 3);
  const Sharding uneven = {.whole = DatasetOf(rows), .sizes = {5, 42, 3}};
  const auto runs = MiniBatchOf(uneven, 3, {rows[0], rows[1]}, {.epochs_max = 2});
  EXPECT_EQ(runs[0].rounds, 2U * 5 + 2) << "and one before and after for all rows";
}

TEST(MiniBatch, StopsOnceAnEpochMovesCentroidsNoMoreThanTheThreshold) {
  const Matrix rows = RandomRows(200, 4, 3, 4);
  const auto runs = MiniBatchOf(EvenShards(DatasetOf(rows), 2), 2, {rows[0], rows[1], rows[2]},
                                {.epochs_max = 500, .threshold = 0.01});
  EXPECT_EQ(runs[0].result.stopped_by, "threshold");
  EXPECT_LE(runs[0].result.movement, 0.01);
  EXPECT_LT(runs[0].result.epochs, 500);
}

TEST(MiniBatch, AClusterWithoutRowsStaysWhereItIs) {
  const Matrix rows = RandomRows(40, 2, 2, 5);
  for (const bool async : {false, true}) {
    const auto runs =
        MiniBatchOf(EvenShards(DatasetOf(rows), 2), 2, {rows[0], {1e6, 1e6}}, {.async = async});
    EXPECT_EQ(MatrixOf(runs[0].result.centroids)[1], (std::vector<float>{1e6, 1e6}));
    EXPECT_EQ(runs[0].result.cluster_sizes, (std::vector<int64_t>{40, 0}));
  }
}

TEST(AsyncMiniBatch, LosesNoUpdate) {
  const Matrix rows = RandomRows(103, 3, 4, 6);
  const Matrix initial = {rows[0], rows[1], rows[2], rows[3]};
  for (const int workers : {1, 2, 5}) {
    const auto runs = MiniBatchOf(EvenShards(DatasetOf(rows), workers), workers, initial,
                                  {.epochs_max = 4, .batch_size = 3, .async = true});
    // Every row of every epoch is in S and n once, whatever the clusters were.
    const std::vector<float>& shared = runs[0].shared;
    const double counts = std::accumulate(shared.end() - 4, shared.end(), 0.0);
    EXPECT_EQ(counts, 4 * 103);
    for (size_t j = 0; j < 3; ++j) {
      double sum = 0;
      double expected = 0;
      for (size_t c = 0; c < 4; ++c) sum += shared[c * 3 + j];
      for (const auto& row : rows) expected += 4 * row[j];
      EXPECT_NEAR(sum, expected, 1e-2);
    }
  }
}

TEST(AsyncMiniBatch, ComesNearToTheSynchronousOne) {
  const Matrix rows = RandomRows(600, 4, 3, 7);
  const Matrix initial = {rows[0], rows[1], rows[2]};
  const Sharding sharding = EvenShards(DatasetOf(rows), 3);
  const auto sync = MiniBatchOf(sharding, 3, initial, {.epochs_max = 10});
  const auto async = MiniBatchOf(sharding, 3, initial, {.epochs_max = 10, .async = true});
  EXPECT_NEAR(async[0].result.inertia, sync[0].result.inertia, 0.1 * sync[0].result.inertia);
  EXPECT_LT(async[0].result.inertia, async[0].result.initial_inertia);
}

}  // namespace
}  // namespace lambdaml::train
