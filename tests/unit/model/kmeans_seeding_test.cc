#include "lambdaml/model/kmeans_seeding.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <limits>

#include "lambdaml/base/error.h"
#include "lambdaml/model/kmeans_distance.h"

#include "tests/unit/model/kmeans_testing.h"

namespace lambdaml::model {
namespace {

// Rows [begin, end) as centres.
Centroids RowsAsCentres(const KMeansData& data, int64_t begin, int64_t end) {
  Centroids centres{end - begin, data.n_features, {}};
  centres.values.assign(data.table.begin() + static_cast<ptrdiff_t>(begin * data.n_features),
                        data.table.begin() + static_cast<ptrdiff_t>(end * data.n_features));
  return centres;
}

void ExpectNearest(const NearestCentres& nearest, const KMeansData& data,
                   const std::vector<int64_t>& centre_rows) {
  const int64_t d = data.n_features;
  for (int64_t r = 0; r < data.rows; ++r) {
    double best = std::numeric_limits<double>::infinity();
    int32_t at = -1;
    for (size_t c = 0; c < centre_rows.size(); ++c) {
      const double distance =
          SquaredDistance(data.table.data() + r * d, data.table.data() + centre_rows[c] * d, d);
      if (distance < best) {
        best = distance;
        at = static_cast<int32_t>(c);
      }
    }
    ASSERT_EQ(nearest.squared()[static_cast<size_t>(r)], best) << "row " << r;
    ASSERT_EQ(nearest.nearest()[static_cast<size_t>(r)], at) << "row " << r;
  }
}

TEST(NearestCentresTest, GrowingSetsGiveTheDefinitionsDistances) {
  base::ThreadPool pool(2);
  for (const KMeansData& data :
       {Clustered(2500, 11, 8, 0.1, 1), Clustered(1500, 40, 8, 2.0, 2), WholeNumbers(1200, 2, 5, 3),
        Clustered(1100, 5, 4, 0.2, 4, 1e6), KMeansData(300, 3, NormalNumbers(900, 5, 1e30)),
        KMeansData(300, 3, NormalNumbers(900, 6, 1e-30))}) {
    for (const data::Dataset& dataset : {data.Dense(), data.Sparse()}) {
      NearestCentres nearest(dataset, pool);
      EXPECT_EQ(nearest.centre_count(), 0);
      std::vector<int64_t> rows;
      int64_t next = 0;
      for (const int64_t count : {1, 1, 1, 5, 1, 20, 3}) {
        nearest.Add(RowsAsCentres(data, next, next + count));
        for (int64_t i = 0; i < count; ++i) rows.push_back(next++);
        ASSERT_NO_FATAL_FAILURE(ExpectNearest(nearest, data, rows));
      }
      EXPECT_EQ(nearest.centre_count(), 32);
    }
  }
}

TEST(NearestCentresTest, ARowThatIsACentreIsAtDistanceZero) {
  const KMeansData data = Clustered(100, 6, 3, 0.5, 7);
  base::ThreadPool pool(1);
  NearestCentres nearest(data.Dense(), pool);
  nearest.Add(RowsAsCentres(data, 40, 42));
  EXPECT_EQ(nearest.squared()[40], 0);
  EXPECT_EQ(nearest.squared()[41], 0);
  EXPECT_EQ(nearest.nearest()[41], 1);
}

TEST(NearestCentresTest, BeforeTheFirstCentreAllIsFar) {
  const KMeansData data = Clustered(10, 6, 3, 0.5, 8);
  base::ThreadPool pool(1);
  const NearestCentres nearest(data.Dense(), pool);
  EXPECT_EQ(nearest.squared()[3], std::numeric_limits<double>::infinity());
  EXPECT_EQ(nearest.nearest()[3], -1);
}

TEST(NearestCentresTest, RefusesCentresOfOtherFeaturesOrNone) {
  const KMeansData data = Clustered(10, 6, 3, 0.5, 9);
  base::ThreadPool pool(1);
  NearestCentres nearest(data.Dense(), pool);
  EXPECT_THROW(nearest.Add({1, 5, std::vector<float>(5)}), base::Error);
  EXPECT_THROW(nearest.Add({1, 6, std::vector<float>(6, NAN)}), base::Error);
}

TEST(CopyRowTest, SparseRowsGetTheirZeros) {
  const KMeansData data(2, 3, {0, 5, 0, 1, 0, 2});
  std::vector<float> row(3, 9.0F);
  CopyRow(data.Sparse(), 0, row);
  EXPECT_EQ(row, (std::vector<float>{0, 5, 0}));
  CopyRow(data.Dense(), 1, row);
  EXPECT_EQ(row, (std::vector<float>{1, 0, 2}));
}

}  // namespace
}  // namespace lambdaml::model
