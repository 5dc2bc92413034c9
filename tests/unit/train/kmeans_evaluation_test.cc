#include "lambdaml/train/kmeans_evaluation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"

#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

TEST(ClusterRows, GivesClustersDistancesSizesAndInertia) {
  const model::Centroids centroids = CentroidsOf({{0, 0}, {10, 0}, {99, 99}});
  for (const bool dense : {true, false}) {
    const Clustering found =
        ClusterRows(centroids, DatasetOf({{3, 4}, {10, 2}, {0, 0}, {5, 0}}, dense), "data");
    EXPECT_EQ(found.clusters, (std::vector<int32_t>{0, 1, 0, 0})) << "a tie goes to the lowest";
    EXPECT_EQ(found.distances, (std::vector<double>{5, 2, 0, 5}));
    EXPECT_EQ(found.cluster_sizes, (std::vector<int64_t>{3, 1, 0}));
    EXPECT_EQ(found.inertia, 25 + 4 + 0 + 25);
  }
}

TEST(ClusterRows, FeaturesThatTheDataLackAreZeros) {
  const model::Centroids centroids = CentroidsOf({{0, 0, 1}, {4, 0, 2}});
  for (const bool dense : {true, false}) {
    const Clustering found = ClusterRows(centroids, DatasetOf({{4, 1}}, dense), "data");
    EXPECT_EQ(found.clusters, std::vector<int32_t>{1});
    EXPECT_EQ(found.inertia, 1 + 4);
  }
}

TEST(ClusterRows, FeaturesThatTheCentroidsLackAreRefused) {
  try {
    ClusterRows(CentroidsOf({{0}}), DatasetOf({{4, 1}}), "rows.libsvm");
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    EXPECT_EQ(error.message(), "rows.libsvm has 2 features, the centroids only 1");
  }
}

}  // namespace
}  // namespace lambdaml::train
