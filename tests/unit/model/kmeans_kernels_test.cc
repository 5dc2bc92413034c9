#include "lambdaml/model/kmeans_kernels.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/model/kmeans_table.h"

#include "tests/unit/model/kmeans_testing.h"

namespace lambdaml::model::kmeans {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Found {
  std::vector<float> best;
  std::vector<float> second;
  std::vector<int32_t> index;

  explicit Found(size_t rows)
      : best((rows + 15) / 16 * 16, kInfinity), second(best), index(best.size(), -1) {}
  Smallest View() { return {best.data(), second.data(), index.data()}; }
};

Centroids Normal(int64_t k, int64_t d, uint64_t seed) { return {k, d, NormalNumbers(k * d, seed)}; }

double Score(const float* x, const float* c, int64_t d) {
  double score = 0;
  for (int64_t j = 0; j < d; ++j) {
    const auto at = static_cast<double>(c[j]);
    score += at * at / 2 - static_cast<double>(x[j]) * at;
  }
  return score;
}

void ExpectTwoSmallest(const KMeansData& data, const Centroids& centroids,
                       const CentroidTable& table, const Found& found) {
  for (int64_t r = 0; r < data.rows; ++r) {
    std::vector<double> scores;
    for (int64_t c = 0; c < centroids.k; ++c) {
      scores.push_back(
          Score(data.table.data() + r * data.n_features, centroids.row(c), data.n_features));
    }
    const auto i = static_cast<size_t>(r);
    const double own = scores[static_cast<size_t>(table.cluster_at(found.index[i]))];
    std::ranges::sort(scores);
    const double bound = 1e-5 * static_cast<double>(data.n_features + 1);
    EXPECT_NEAR(static_cast<double>(found.best[i]), scores[0], bound);
    EXPECT_NEAR(own, scores[0], bound);
    if (centroids.k == 1) {
      EXPECT_EQ(found.second[i], kInfinity);
    } else {
      EXPECT_NEAR(static_cast<double>(found.second[i]), scores[1], bound);
    }
  }
}

TEST(KMeansKernelsTest, TheTwoSmallestScoresAreTheDefinitionsAndTheSameBitsForAllProcessors) {
  base::ThreadPool pool(1);
  for (const int64_t d : {0, 1, 7, 8, 15, 16, 33, 200}) {
    for (const int64_t k : {1, 2, 3, 4, 7, 8, 9, 16, 17, 64, 65, 80, 81, 130}) {
      for (const int64_t rows : {1, 15, 16, 17, 33, 48, 65, 100}) {
        const KMeansData data(rows, d, NormalNumbers(rows * d, static_cast<uint64_t>(d + k)));
        const Centroids centroids = Normal(k, d, 99);
        const std::vector<float> shift(static_cast<size_t>(d));
        std::vector<const float*> pointers;
        std::vector<int64_t> numbers;
        for (int64_t r = 0; r < rows; ++r) {
          pointers.push_back(data.table.data() + r * d);
          numbers.push_back(r);
        }
        CentroidTable dense_table(d, kBlockCentroids, shift);
        dense_table.Set(centroids, 1, true, pool);
        CentroidTable sparse_table(d, kPanelCentroids, {});
        sparse_table.Set(centroids, 1, true, pool);
        std::vector<Found> all;
        for (const Kernels* kernels : {&BaselineKernels(), &BestKernels()}) {
          Found dense(static_cast<size_t>(rows));
          const auto blocks = static_cast<int>((rows + 15) / 16);
          std::vector<float> packed(static_cast<size_t>(blocks * 16 * d + 1));
          for (int b = 0; b < blocks; ++b) {
            const auto count = static_cast<int>(std::min<int64_t>(16, rows - b * 16));
            kernels->pack_rows(pointers.data() + b * 16, count, d, shift.data(),
                               packed.data() + b * 16 * d);
          }
          kernels->scan_dense(packed.data(), blocks, dense_table.all(), dense.View());
          ExpectTwoSmallest(data, centroids, dense_table, dense);
          Found sparse(static_cast<size_t>(rows));
          const SparseBatch batch{data.row_offsets.data(), data.columns.data(), data.values.data(),
                                  numbers.data(), static_cast<int>(rows)};
          CentroidRange panel = sparse_table.all();
          for (; panel.begin < k; panel.begin += kPanelCentroids) {
            panel.end = std::min(panel.begin + kPanelCentroids, k);
            kernels->scan_sparse(batch, panel, sparse.View());
          }
          ExpectTwoSmallest(data, centroids, sparse_table, sparse);
          for (Found* const found : {&dense, &sparse}) {
            found->best.resize(static_cast<size_t>(rows));
            found->second.resize(static_cast<size_t>(rows));
            all.push_back(*found);
          }
        }
        ASSERT_EQ(all[0].best, all[2].best);
        ASSERT_EQ(all[0].second, all[2].second);
        ASSERT_EQ(all[1].best, all[3].best);
        ASSERT_EQ(all[1].second, all[3].second);
      }
    }
  }
}

TEST(KMeansTableTest, GroupsAreOfNeighbours) {
  // Forty places far from one another, eight centroids at each, in mixed order.
  const KMeansData places(40, 5, NormalNumbers(200, 4, 100));
  const std::vector<float> noise = NormalNumbers(1600, 5);
  Centroids centroids{320, 5, {}};
  for (int64_t c = 0; c < 320; ++c) {
    for (int64_t j = 0; j < 5; ++j) {
      centroids.values.push_back(places.table[static_cast<size_t>((c % 40) * 5 + j)] +
                                 noise[static_cast<size_t>(c * 5 + j)]);
    }
  }
  const std::vector<int32_t> order = OrderByNearness(centroids, 8);
  std::vector<int32_t> sorted = order;
  std::ranges::sort(sorted);
  int pure = 0;
  for (int32_t c = 0; c < 320; ++c) {
    ASSERT_EQ(sorted[static_cast<size_t>(c)], c);
    pure += order[static_cast<size_t>(c)] % 40 == order[static_cast<size_t>(c) / 8 * 8] % 40;
  }
  EXPECT_GT(pure, 280);
}

TEST(KMeansTableTest, MovesAreAtLeastThoseOfTheCentroids) {
  base::ThreadPool pool(2);
  const std::vector<float> shift = NormalNumbers(20, 1, 1000);
  CentroidTable table(20, kBlockCentroids, shift);
  Centroids centroids = Normal(100, 20, 2);
  table.Set(centroids, 3, true, pool);
  EXPECT_EQ(table.group_count(), 3);
  const Centroids before = centroids;
  for (size_t i = 0; i < centroids.values.size(); ++i) centroids.values[i] *= 1.5F;
  table.Set(centroids, 3, false, pool);
  EXPECT_FALSE(table.regrouped());
  for (int32_t c = 0; c < 100; ++c) {
    const auto moved =
        std::sqrt(static_cast<double>(ReferenceDistance(before.row(c), centroids.row(c), 20)));
    const auto stated = static_cast<double>(table.moves()[static_cast<size_t>(c)]);
    EXPECT_GE(stated, moved);
    EXPECT_LE(stated, moved + 1e-2);  // the shift is a thousand times as long
    EXPECT_GE(static_cast<double>(table.group_moves()[static_cast<size_t>(table.group_of(c))]),
              moved);
  }
}

}  // namespace
}  // namespace lambdaml::model::kmeans
