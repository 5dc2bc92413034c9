#include "lambdaml/train/kmeans_init.h"

#include <cmath>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

using wire::KmeansInit;

constexpr KmeansInit kAll[] = {KmeansInit::kFirst, KmeansInit::kRandom, KmeansInit::kPlusPlus,
                               KmeansInit::kParallel};

// The centroids on all ranks, which must agree.
Matrix Init(const Sharding& sharding, int workers, KmeansInit init, int64_t k, uint64_t seed,
            uint64_t* rounds = nullptr) {
  std::vector<Matrix> found(static_cast<size_t>(workers));
  ForEachKmeansRank(sharding, workers, [&](const KmeansRank& rank) {
    found[static_cast<size_t>(rank.membership.rank)] =
        MatrixOf(InitialCentroids(rank.rows, init, k, seed, rank.pool));
    if (rounds != nullptr && rank.membership.rank == 0) *rounds = rank.peers.stats().rounds;
  });
  for (const Matrix& other : found) EXPECT_EQ(other, found.front());
  return found.front();
}

TEST(InitialCentroids, AreTheSameForAnyWorkersShardsAndLayout) {
  const Matrix rows = RandomRows(120, 6, 5, 1);
  for (const KmeansInit init : kAll) {
    const Matrix alone = Init(EvenShards(DatasetOf(rows), 1), 1, init, 7, 42);
    for (const bool dense : {true, false}) {
      for (const int workers : {2, 3, 5}) {
        EXPECT_EQ(Init(EvenShards(DatasetOf(rows, dense), 8), workers, init, 7, 42), alone);
      }
      EXPECT_EQ(Init({.whole = DatasetOf(rows, dense), .sizes = {1, 100, 0, 19}}, 4, init, 7, 42),
                alone);
    }
  }
}

TEST(InitialCentroids, AreDifferentRowsOfTheData) {
  const Matrix rows = RandomRows(60, 6, 5, 2);
  const std::set<std::vector<float>> known(rows.begin(), rows.end());
  for (const KmeansInit init : kAll) {
    for (const int64_t k : {1, 2, 30, 60}) {
      const Matrix chosen = Init(EvenShards(DatasetOf(rows), 2), 2, init, k, 3);
      EXPECT_EQ(std::set(chosen.begin(), chosen.end()).size(), static_cast<size_t>(k));
      for (const auto& row : chosen) EXPECT_TRUE(known.contains(row));
    }
  }
}

TEST(InitialCentroids, FirstAreTheFirstRowsInTheirOrder) {
  const Matrix rows = RandomRows(11, 3, 2, 3);
  const Matrix chosen = Init(EvenShards(DatasetOf(rows), 4), 3, KmeansInit::kFirst, 5, 0);
  EXPECT_EQ(chosen, Matrix(rows.begin(), rows.begin() + 5));
}

TEST(InitialCentroids, DependOnTheSeedButForTheFirst) {
  const Matrix rows = RandomRows(100, 4, 3, 4);
  for (const KmeansInit init : kAll) {
    std::set<Matrix> found;
    for (uint64_t seed = 0; seed < 5; ++seed) {
      found.insert(Init(EvenShards(DatasetOf(rows), 1), 1, init, 4, seed));
    }
    EXPECT_EQ(found.size(), init == KmeansInit::kFirst ? 1U : 5U);
  }
}

TEST(InitialCentroids, TakeTheRoundsThatTheyPromise) {
  const Matrix rows = RandomRows(200, 4, 3, 5);
  const Sharding sharding = EvenShards(DatasetOf(rows), 2);
  uint64_t rounds = 0;
  for (const int64_t k : {1, 5, 40}) {
    Init(sharding, 2, KmeansInit::kFirst, k, 0, &rounds);
    EXPECT_EQ(rounds, 1U);
    Init(sharding, 2, KmeansInit::kRandom, k, 0, &rounds);
    EXPECT_EQ(rounds, 1U);
    Init(sharding, 2, KmeansInit::kPlusPlus, k, 0, &rounds);
    EXPECT_EQ(rounds, static_cast<uint64_t>(k));
    Init(sharding, 2, KmeansInit::kParallel, k, 0, &rounds);
    EXPECT_LE(rounds, 13U);
  }
}

// How often each second centroid is chosen beside each first one.
std::map<std::pair<float, float>, double> SecondChoices(const Matrix& rows, KmeansInit init,
                                                        int runs) {
  std::map<float, double> firsts;
  std::map<std::pair<float, float>, double> pairs;
  const Sharding sharding = EvenShards(DatasetOf(rows), 1);
  for (int seed = 0; seed < runs; ++seed) {
    const Matrix chosen = Init(sharding, 1, init, 2, static_cast<uint64_t>(seed));
    ++firsts[chosen[0][0]];
    ++pairs[{chosen[0][0], chosen[1][0]}];
  }
  for (auto& [pair, count] : pairs) count /= firsts[pair.first];
  return pairs;
}

TEST(InitialCentroids, PlusPlusDrawsByTheSquaredDistance) {
  const Matrix rows = {{0}, {1}, {3}};
  const auto shares = SecondChoices(rows, KmeansInit::kPlusPlus, 6000);
  // About 2,000 draws beside each first one: a standard deviation of at most 0.011.
  EXPECT_NEAR(shares.at({0, 1}), 1.0 / 10, 0.04);
  EXPECT_NEAR(shares.at({0, 3}), 9.0 / 10, 0.04);
  EXPECT_NEAR(shares.at({1, 0}), 1.0 / 5, 0.04);
  EXPECT_NEAR(shares.at({3, 0}), 9.0 / 13, 0.04);
}

TEST(InitialCentroids, RandomDrawsEveryRowEquallyOften) {
  const Matrix rows = {{0}, {1}, {2}, {3}, {4}, {5}, {6}};
  for (const int64_t k : {2, 5}) {  // by drawing, and from a permutation
    std::map<float, double> shares;
    for (uint64_t seed = 0; seed < 3000; ++seed) {
      for (const auto& row :
           Init(EvenShards(DatasetOf(rows), 1), 1, KmeansInit::kRandom, k, seed)) {
        shares[row[0]] += 1.0 / 3000;
      }
    }
    for (const auto& [value, share] : shares) {
      EXPECT_NEAR(share, static_cast<double>(k) / 7, 0.04) << value;
    }
  }
}

TEST(InitialCentroids, SeededOnesFindGroupsThatAreFarApart) {
  Matrix rows;
  base::Random random(6);
  for (int i = 0; i < 400; ++i) {
    const auto group = static_cast<float>(i % 8);
    rows.push_back(
        {100 * group + static_cast<float>(random.Normal()), static_cast<float>(random.Normal())});
  }
  for (const KmeansInit init : {KmeansInit::kPlusPlus, KmeansInit::kParallel}) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      std::set<float> groups;
      for (const auto& row : Init(EvenShards(DatasetOf(rows), 3), 3, init, 8, seed)) {
        groups.insert(std::round(row[0] / 100));
      }
      EXPECT_EQ(groups.size(), 8U);
    }
  }
}

TEST(InitialCentroids, FewerDifferentRowsThanClustersAreChosenAgain) {
  Matrix rows;
  for (int i = 0; i < 10; ++i) rows.push_back({static_cast<float>(i % 2), 3});
  for (const KmeansInit init : kAll) {
    for (const int workers : {1, 3}) {
      const Matrix chosen = Init(EvenShards(DatasetOf(rows), workers), workers, init, 9, 1);
      EXPECT_EQ(chosen.size(), 9U);
      EXPECT_EQ(std::set(chosen.begin(), chosen.end()).size(), 2U);
    }
  }
}

}  // namespace
}  // namespace lambdaml::train
