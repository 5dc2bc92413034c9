#include "lambdaml/model/kmeans_shard.h"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "lambdaml/base/error.h"

#include "tests/unit/model/kmeans_testing.h"

namespace lambdaml::model {
namespace {

struct StepResult {
  AssignStats stats;
  std::vector<int32_t> assignments;
  std::vector<double> sums;
  std::vector<int64_t> counts;

  bool operator==(const StepResult& other) const {
    return stats.changed_rows == other.stats.changed_rows && assignments == other.assignments &&
           sums == other.sums && counts == other.counts;
  }
};

StepResult StepOf(KMeansShard& shard, const Centroids& centroids) {
  StepResult result;
  result.sums.assign(centroids.values.size(), -1.0);
  result.counts.assign(static_cast<size_t>(centroids.k), -1);
  result.stats = shard.Assign(centroids, result.sums, result.counts);
  result.assignments.assign(shard.assignments().begin(), shard.assignments().end());
  return result;
}

void ExpectStep(const StepResult& result, const KMeansData& data, const Centroids& centroids) {
  const ReferenceStep expected = StepByDefinition(data, centroids);
  int64_t tied = 0;
  for (size_t r = 0; r < expected.assignments.size(); ++r) {
    tied += expected.tied[r];
    if (expected.tied[r] != 0) continue;
    ASSERT_EQ(result.assignments[r], expected.assignments[r]) << "row " << r;
  }
  if (tied > 0) return;
  EXPECT_EQ(result.counts, expected.counts);
  for (size_t i = 0; i < expected.sums.size(); ++i) {
    const auto sum = static_cast<double>(expected.sums[i]);
    // Rounded once, and so was the reference.
    ASSERT_NEAR(result.sums[i], sum, 0x1p-52 * std::abs(sum)) << "sum " << i;
  }
  const auto inertia = static_cast<double>(expected.inertia);
  EXPECT_NEAR(result.stats.inertia, inertia, 1e-9 * inertia);
}

// Runs Lloyd's iterations and compares every step with its definition.
void ExpectRun(const KMeansData& data, const data::Dataset& dataset, Centroids centroids,
               int steps) {
  base::ThreadPool pool(2);
  KMeansShard shard(dataset, pool, {.prune_always = true});
  std::vector<int32_t> before(static_cast<size_t>(data.rows), -1);
  for (int step = 0; step < steps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const StepResult result = StepOf(shard, centroids);
    ASSERT_NO_FATAL_FAILURE(ExpectStep(result, data, centroids));
    int64_t changed = 0;
    for (size_t r = 0; r < before.size(); ++r) changed += before[r] != result.assignments[r];
    EXPECT_EQ(result.stats.changed_rows, changed);
    before = result.assignments;
    MoveToMeans(result.sums, result.counts, &centroids);
  }
}

struct Case {
  std::string name;
  KMeansData data;
  int64_t k;
  int steps;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, KMeansData data, int64_t k, int steps) {
    cases.push_back({name, std::move(data), k, steps});
  };
  for (const int64_t d : {1, 2, 7, 8, 15, 16, 17, 28, 161, 330}) {
    for (const int64_t k : {1, 2, 3, 5, 8, 9, 16, 17, 40}) {
      add("normal", {203, d, NormalNumbers(203 * d, static_cast<uint64_t>(d * 100 + k))}, k, 4);
    }
  }
  add("clustered", Clustered(3000, 12, 20, 0.2, 3), 20, 8);
  add("overlapping", Clustered(2500, 30, 100, 1.0, 4), 130, 8);
  add("many groups", Clustered(2000, 300, 60, 0.3, 5), 400, 6);
  add("small whole numbers, full of ties", WholeNumbers(1500, 3, 4, 6), 50, 6);
  add("copies", WholeNumbers(800, 2, 2, 7), 100, 4);
  add("constant", {300, 5, std::vector<float>(1500, 2.5F)}, 7, 3);
  add("zeros", {300, 5, std::vector<float>(1500, 0.0F)}, 7, 3);
  add("far from the origin", Clustered(1000, 20, 10, 0.3, 8, 1e5), 10, 6);
  add("very far from the origin", Clustered(1000, 20, 10, 0.3, 9, 3e6), 30, 6);
  add("huge", {500, 10, NormalNumbers(5000, 10, 1e30)}, 12, 4);
  add("larger than a square can be", {300, 10, NormalNumbers(3000, 11, 1e37)}, 12, 4);
  add("tiny", {500, 10, NormalNumbers(5000, 12, 1e-25)}, 12, 4);
  add("subnormal", {300, 10, NormalNumbers(3000, 13, 1e-40)}, 12, 4);
  add("one row", {1, 6, NormalNumbers(6, 14)}, 1, 2);
  KMeansData mixed(600, 8, NormalNumbers(4800, 15));
  for (size_t i = 0; i < mixed.table.size(); ++i) {
    if (i % 8 == 0) mixed.table[i] *= 1e12F;
    if (i % 8 == 1) mixed.table[i] *= 1e-12F;
  }
  add("columns of very unequal size", {600, 8, mixed.table}, 15, 5);
  KMeansData holes(1000, 40, NormalNumbers(40000, 16));
  for (size_t i = 0; i < holes.table.size(); ++i) {
    if (i * 2654435761U % 100 < 85) holes.table[i] = 0;
  }
  add("mostly zeros", {1000, 40, holes.table}, 70, 6);
  return cases;
}

TEST(KMeansShardTest, EveryStepOfDenseRowsIsTheDefinitions) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name + ", d " + std::to_string(c.data.n_features) + ", k " +
                 std::to_string(c.k));
    ASSERT_NO_FATAL_FAILURE(ExpectRun(c.data, c.data.Dense(), FirstRows(c.data, c.k), c.steps));
  }
}

TEST(KMeansShardTest, EveryStepOfSparseRowsIsTheDefinitions) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name + ", d " + std::to_string(c.data.n_features) + ", k " +
                 std::to_string(c.k));
    // Σ‖x‖² − … loses digits there; dense rows are computed in twice the precision.
    if (c.name.find("far") != std::string::npos) continue;
    ASSERT_NO_FATAL_FAILURE(ExpectRun(c.data, c.data.Sparse(), FirstRows(c.data, c.k), c.steps));
  }
}

TEST(KMeansShardTest, TheBuildsOwnKernelsGiveTheSame) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name + ", d " + std::to_string(c.data.n_features) + ", k " +
                 std::to_string(c.k));
    base::ThreadPool pool(1);
    for (const bool dense : {true, false}) {
      const data::Dataset dataset = dense ? c.data.Dense() : c.data.Sparse();
      KMeansShard best(dataset, pool, {.prune_always = true, .best_kernels = true});
      KMeansShard baseline(dataset, pool, {.prune_always = true, .best_kernels = false});
      Centroids centroids = FirstRows(c.data, c.k);
      for (int step = 0; step < c.steps; ++step) {
        const StepResult result = StepOf(best, centroids);
        ASSERT_EQ(StepOf(baseline, centroids), result) << "step " << step;
        EXPECT_EQ(baseline.scored_share(), best.scored_share());
        MoveToMeans(result.sums, result.counts, &centroids);
      }
    }
  }
}

TEST(KMeansShardTest, PrunedRunsEqualUnprunedOnesDenseOrSparse) {
  double least_share = 1;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name + ", d " + std::to_string(c.data.n_features) + ", k " +
                 std::to_string(c.k));
    base::ThreadPool pool(1);
    KMeansShard pruned(c.data.Dense(), pool, {.prune_always = true});
    KMeansShard unpruned(c.data.Dense(), pool, {.prune = false});
    KMeansShard sparse(c.data.Sparse(), pool, {.prune_always = true});
    KMeansShard unpruned_sparse(c.data.Sparse(), pool, {.prune = false});
    Centroids centroids = FirstRows(c.data, c.k);
    for (int step = 0; step < 15; ++step) {
      const StepResult result = StepOf(unpruned, centroids);
      ASSERT_EQ(StepOf(pruned, centroids), result) << "step " << step;
      ASSERT_EQ(StepOf(sparse, centroids), result) << "step " << step;
      ASSERT_EQ(StepOf(unpruned_sparse, centroids), result) << "step " << step;
      EXPECT_EQ(unpruned.scored_share(), 1);
      least_share = std::min(least_share, pruned.scored_share());
      MoveToMeans(result.sums, result.counts, &centroids);
    }
  }
  EXPECT_LT(least_share, 0.05);  // the test is about something
}

TEST(KMeansShardTest, CentroidsMayJump) {
  const KMeansData data = Clustered(2000, 10, 30, 0.5, 21);
  base::ThreadPool pool(1);
  KMeansShard shard(data.Dense(), pool, {.prune_always = true});
  base::Random random(5);
  Centroids centroids = FirstRows(data, 60);
  for (int step = 0; step < 12; ++step) {
    const StepResult result = StepOf(shard, centroids);
    ASSERT_NO_FATAL_FAILURE(ExpectStep(result, data, centroids));
    MoveToMeans(result.sums, result.counts, &centroids);
    // One becomes a row, one a copy of another, as re-seeding does; at times all are others.
    const auto pick = [&](int64_t below) {
      return static_cast<int64_t>(random.Below(static_cast<uint64_t>(below)));
    };
    std::copy_n(data.table.data() + pick(data.rows) * 10, 10, centroids.row(pick(centroids.k)));
    const int64_t from = pick(centroids.k);
    std::copy_n(centroids.row(from), 10, centroids.row((from + 7) % centroids.k));
    if (step == 6) centroids = FirstRows(data, 33);
    if (step == 8) centroids = FirstRows(data, 60);
  }
}

TEST(KMeansShardTest, ACopyThatMovesAwayGetsItsRows) {
  const KMeansData data = Clustered(2000, 10, 8, 0.1, 22);
  base::ThreadPool pool(1);
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool, {.prune_always = true});
    Centroids centroids = FirstRows(data, 30);
    for (int step = 0; step < 10; ++step) {
      const StepResult result = StepOf(shard, centroids);
      MoveToMeans(result.sums, result.counts, &centroids);
    }
    std::copy_n(centroids.row(3), 10, centroids.row(20));
    const StepResult copied = StepOf(shard, centroids);
    EXPECT_EQ(copied.counts[20], 0);
    StepOf(shard, centroids);  // bounds without the copy, and nothing moved
    centroids.row(20)[4] += 1e-3F;
    const StepResult moved = StepOf(shard, centroids);
    EXPECT_GT(moved.counts[20], 0);
    ASSERT_NO_FATAL_FAILURE(ExpectStep(moved, data, centroids));
  }
}

TEST(KMeansShardTest, ThreadsChangeNoBit) {
  const KMeansData data = Clustered(9000, 24, 40, 0.7, 31);
  for (const bool dense : {true, false}) {
    const data::Dataset dataset = dense ? data.Dense() : data.Sparse();
    std::vector<StepResult> expected;
    for (const int threads : {1, 2, 3, 8}) {
      base::ThreadPool pool(threads);
      KMeansShard shard(dataset, pool);
      Centroids centroids = FirstRows(data, 50);
      for (size_t step = 0; step < 6; ++step) {
        const StepResult result = StepOf(shard, centroids);
        if (threads == 1) expected.push_back(result);
        ASSERT_EQ(result, expected[step]);
        EXPECT_EQ(result.stats.inertia, expected[step].stats.inertia);
        MoveToMeans(result.sums, result.counts, &centroids);
      }
    }
  }
}

TEST(KMeansShardTest, AStepDoesNotDependOnEarlierOnes) {
  const KMeansData data = Clustered(3000, 24, 40, 0.7, 32);
  base::ThreadPool pool(1);
  KMeansShard shard(data.Dense(), pool);
  Centroids centroids = FirstRows(data, 50);
  for (int step = 0; step < 6; ++step) {
    const StepResult result = StepOf(shard, centroids);
    KMeansShard fresh(data.Dense(), pool);
    const StepResult alone = StepOf(fresh, centroids);
    EXPECT_EQ(alone.assignments, result.assignments);
    EXPECT_EQ(alone.sums, result.sums);
    EXPECT_EQ(alone.stats.inertia, result.stats.inertia);
    MoveToMeans(result.sums, result.counts, &centroids);
  }
}

TEST(KMeansShardTest, AssignmentsAloneNeedNoSums) {
  const KMeansData data = Clustered(500, 6, 4, 0.5, 33);
  base::ThreadPool pool(1);
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool);
    const Centroids centroids = FirstRows(data, 5);
    const AssignStats stats = shard.Assign(centroids, {}, {});
    KMeansShard other(dataset, pool);
    const StepResult result = StepOf(other, centroids);
    EXPECT_EQ(stats.inertia, result.stats.inertia);
    EXPECT_EQ(stats.changed_rows, 500);
    EXPECT_TRUE(std::ranges::equal(shard.assignments(), result.assignments));
  }
}

TEST(KMeansShardTest, AShardWithoutRowsHasEmptyClusters) {
  const KMeansData data(0, 3, {});
  base::ThreadPool pool(2);
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool);
    const StepResult result = StepOf(shard, {2, 3, std::vector<float>(6, 1.0F)});
    EXPECT_EQ(result.counts, std::vector<int64_t>(2, 0));
    EXPECT_EQ(result.sums, std::vector<double>(6, 0.0));
    EXPECT_EQ(result.stats.inertia, 0);
    EXPECT_EQ(result.stats.changed_rows, 0);
    EXPECT_TRUE(shard.FarthestRows({2, 3, std::vector<float>(6, 1.0F)}, 3).empty());
  }
}

TEST(KMeansShardTest, ConstantDataHaveNoInertia) {
  const KMeansData data(1000, 3, std::vector<float>(3000, 0.1F));
  base::ThreadPool pool(1);
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool);
    const StepResult result = StepOf(shard, FirstRows(data, 2));
    EXPECT_EQ(result.stats.inertia, 0);
    EXPECT_EQ(result.counts, (std::vector<int64_t>{1000, 0}));
  }
}

TEST(KMeansShardTest, InertiaKeepsItsDigitsFarFromTheOrigin) {
  // Neighbouring float32 numbers: Σ‖x‖² is 10^15 times the inertia.
  std::vector<float> table;
  for (int r = 0; r < 4000; ++r) table.push_back(16777214.0F + static_cast<float>(r % 3));
  const KMeansData data(4000, 1, table);
  base::ThreadPool pool(1);
  KMeansShard shard(data.Dense(), pool);
  const Centroids centroids{1, 1, {16777214.0F}};
  // 1333 rows each at distances 1 and 2.
  EXPECT_EQ(StepOf(shard, centroids).stats.inertia, 1333 * 1 + 1333 * 4);
}

TEST(KMeansShardTest, RefusesCentroidsItCannotUse) {
  const KMeansData data = Clustered(100, 4, 3, 0.5, 41);
  base::ThreadPool pool(1);
  const auto message = [&](const Centroids& centroids) -> std::string {
    KMeansShard shard(data.Dense(), pool);
    try {
      shard.Assign(FirstRows(data, 2), {}, {});
      shard.Assign(centroids, {}, {});
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
      // The shard can go on.
      const Centroids good = FirstRows(data, 2);
      ExpectStep(StepOf(shard, good), data, good);
      return error.message();
    }
    return "none";
  };
  Centroids centroids = FirstRows(data, 2);
  centroids.values[5] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message(centroids),
            "centroids: coordinate 1 of centroid 1 is nan; every number must be finite");
  centroids.values[5] = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(message(centroids),
            "centroids: coordinate 1 of centroid 1 is -inf; every number must be finite");
  EXPECT_EQ(message({2, 3, std::vector<float>(6)}), "the centroids have 3 features, the data 4");
  EXPECT_EQ(message({2, 4, std::vector<float>(7)}),
            "centroids: 7 numbers do not make 2 centroids of 4 features");
  EXPECT_EQ(message({0, 4, {}}), "centroids: 0 clusters; give 1 to 1073741824");
}

TEST(KMeansShardTest, DistancesAreThoseToTheOwnCentroid) {
  const KMeansData data = Clustered(1500, 9, 6, 0.5, 51);
  const Centroids centroids = FirstRows(data, 6);
  base::ThreadPool pool(2);
  std::vector<double> dense_distances;
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool);
    shard.Assign(centroids, {}, {});
    std::vector<double> squared(1500);
    shard.Distances(centroids, squared);
    for (int64_t r = 0; r < 1500; ++r) {
      const float* const c = centroids.row(shard.assignments()[static_cast<size_t>(r)]);
      const auto expected = static_cast<double>(ReferenceDistance(data.table.data() + r * 9, c, 9));
      EXPECT_NEAR(squared[static_cast<size_t>(r)], expected, 1e-14 * expected);
    }
    if (dense_distances.empty()) dense_distances = squared;
    EXPECT_EQ(squared, dense_distances);  // bit for bit
  }
}

TEST(KMeansShardTest, FarthestRowsComeInOrderAndTiesByRow) {
  // Distances 0, 1, 2, 3, 0, 1, 2, 3, … in blocks of different threads.
  std::vector<float> table;
  for (int r = 0; r < 5000; ++r) table.push_back(static_cast<float>(r % 4));
  const KMeansData data(5000, 1, table);
  const Centroids centroids{1, 1, {0.0F}};
  for (const int threads : {1, 4}) {
    base::ThreadPool pool(threads);
    KMeansShard shard(data.Dense(), pool);
    shard.Assign(centroids, {}, {});
    const std::vector<FarRow> rows = shard.FarthestRows(centroids, 1300);
    ASSERT_EQ(rows.size(), 1300U);
    for (int64_t i = 0; i < 1300; ++i) {
      const FarRow& row = rows[static_cast<size_t>(i)];
      EXPECT_EQ(row.row, i < 1250 ? 4 * i + 3 : 4 * (i - 1250) + 2);
      EXPECT_EQ(row.squared_distance, i < 1250 ? 9 : 4);
    }
    EXPECT_EQ(shard.FarthestRows(centroids, 9999).size(), 5000U);
    EXPECT_TRUE(shard.FarthestRows(centroids, 0).empty());
  }
}

TEST(KMeansShardTest, AMiniBatchIsSculleysAlgorithm) {
  const KMeansData data = Clustered(900, 7, 5, 0.4, 61);
  base::ThreadPool pool(1);
  for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
    KMeansShard shard(dataset, pool);
    Centroids centroids = FirstRows(data, 8);
    std::vector<int64_t> counts(8, 0);
    std::vector<double> expected(centroids.values.begin(), centroids.values.end());
    std::vector<int64_t> expected_counts(8, 0);
    for (const RowRange range : {RowRange{0, 300}, RowRange{300, 310}, RowRange{310, 900}}) {
      double expected_inertia = 0;
      std::vector<int64_t> nearest;
      for (int64_t r = range.begin; r < range.end; ++r) {
        long double best = std::numeric_limits<long double>::infinity();
        int64_t at = 0;
        for (int64_t c = 0; c < 8; ++c) {
          const long double distance =
              ReferenceDistance(data.table.data() + r * 7, centroids.row(c), 7);
          if (distance < best) {
            best = distance;
            at = c;
          }
        }
        nearest.push_back(at);
        expected_inertia += static_cast<double>(best);
      }
      // One row after the other, in float64.
      for (int64_t r = range.begin; r < range.end; ++r) {
        const auto c = static_cast<size_t>(nearest[static_cast<size_t>(r - range.begin)]);
        const double eta = 1 / static_cast<double>(++expected_counts[c]);
        for (size_t j = 0; j < 7; ++j) {
          double& value = expected[c * 7 + j];
          value = (1 - eta) * value +
                  eta * static_cast<double>(data.table[static_cast<size_t>(r) * 7 + j]);
        }
      }
      const double inertia = shard.MiniBatch(range, &centroids, counts);
      EXPECT_NEAR(inertia, expected_inertia, 1e-12 * expected_inertia);
      EXPECT_EQ(counts, expected_counts);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(static_cast<double>(centroids.values[i]), expected[i], 2e-7);
      }
    }
    const std::vector<float> before = centroids.values;
    EXPECT_EQ(shard.MiniBatch({5, 5}, &centroids, counts), 0);
    EXPECT_EQ(centroids.values, before);
  }
}

}  // namespace
}  // namespace lambdaml::model
