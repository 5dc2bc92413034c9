#include "lambdaml/train/kmeans_rows.h"

#include <gtest/gtest.h>

#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

TEST(RowNumbers, CountShardsOneAfterTheOtherWhoeverHoldsThem) {
  const data::Manifest manifest = ManifestOf({.whole = {}, .sizes = {3, 2, 0, 4, 1}});
  const RowNumbers first(manifest, 0, 2);  // shards 0, 2 and 4
  const RowNumbers second(manifest, 1, 2);
  EXPECT_EQ(first.total(), 10);
  EXPECT_EQ(first.count(), 4);
  EXPECT_EQ(second.count(), 6);
  EXPECT_EQ(first.max(), 6);
  std::vector<int64_t> numbers;
  for (int64_t row = 0; row < first.count(); ++row) numbers.push_back(first.NumberOf(row));
  EXPECT_EQ(numbers, (std::vector<int64_t>{0, 1, 2, 9}));
  numbers.clear();
  for (int64_t row = 0; row < second.count(); ++row) numbers.push_back(second.NumberOf(row));
  EXPECT_EQ(numbers, (std::vector<int64_t>{3, 4, 5, 6, 7, 8}));
}

TEST(RowNumbers, EachNumberBelongsToOneRankOnly) {
  const std::vector<int64_t> sizes = {3, 2, 0, 4, 1, 7, 0};
  for (int64_t workers = 1; workers <= 7; ++workers) {
    const data::Manifest manifest = ManifestOf({.whole = {}, .sizes = sizes});
    for (int64_t number = 0; number < 17; ++number) {
      int holders = 0;
      for (int64_t rank = 0; rank < workers; ++rank) {
        const RowNumbers numbers(manifest, rank, workers);
        const auto row = numbers.RowOf(number);
        if (!row) continue;
        ++holders;
        EXPECT_EQ(numbers.NumberOf(*row), number);
      }
      EXPECT_EQ(holders, 1) << number << " of " << workers;
    }
    EXPECT_EQ(RowNumbers(manifest, 0, workers).RowOf(17), std::nullopt);
  }
}

TEST(RowExchange, FetchesRowsByNumberOnEveryRank) {
  const Matrix rows = RandomRows(20, 5, 2, 1);
  for (const bool dense : {true, false}) {
    for (const int workers : {1, 2, 3}) {
      ForEachKmeansRank(EvenShards(DatasetOf(rows, dense), 4), workers,
                        [&](const KmeansRank& rank) {
                          const std::vector<int64_t> numbers = {19, 0, 7, 7, 12};
                          const Matrix fetched = MatrixOf(rank.rows.Fetch(numbers));
                          for (size_t i = 0; i < numbers.size(); ++i) {
                            EXPECT_EQ(fetched[i], rows[static_cast<size_t>(numbers[i])]);
                          }
                          EXPECT_EQ(rank.peers.stats().rounds, 1U);
                        });
    }
  }
}

TEST(RowExchange, GathersWhatEachRankOffersInTheOrderOfNumbers) {
  const Matrix rows = RandomRows(12, 3, 2, 1);
  for (const bool dense : {true, false}) {
    ForEachKmeansRank(EvenShards(DatasetOf(rows, dense), 6), 3, [&](const KmeansRank& rank) {
      // Rank 0 has rows 0, 1, 6, 7 and offers two, rank 1 none, rank 2 its third, number 10.
      std::vector<OfferedRow> offered;
      if (rank.membership.rank == 0) offered = {{2, 0.5}, {0, 0.25}};
      if (rank.membership.rank == 2) offered = {{2, 1e300}};
      const GatheredRows gathered = rank.rows.Gather(offered);
      EXPECT_EQ(gathered.numbers, (std::vector<int64_t>{0, 6, 10}));
      EXPECT_EQ(gathered.keys, (std::vector<double>{0.25, 0.5, 1e300}));
      EXPECT_EQ(MatrixOf(gathered.rows), (Matrix{rows[0], rows[6], rows[10]}));
    });
  }
}

TEST(RowExchange, GathersNothingWhereNobodyOffers) {
  ForEachKmeansRank(EvenShards(DatasetOf(RandomRows(4, 3, 1, 1)), 2), 2,
                    [&](const KmeansRank& rank) {
                      const GatheredRows gathered = rank.rows.Gather({});
                      EXPECT_EQ(gathered.rows.k, 0);
                      EXPECT_EQ(gathered.rows.n_features, 3);
                      EXPECT_TRUE(gathered.numbers.empty());
                    });
}

}  // namespace
}  // namespace lambdaml::train
