// Finished centroids on a data set: for `evaluate`, `predict` and the end of a run.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_centroids.h"

namespace lambdaml::train {

struct Clustering {
  std::vector<int32_t> clusters;  // of each row
  std::vector<double> distances;  // of each row to its centroid: Euclidean, not squared
  double inertia = 0;             // Σ distance²
  std::vector<int64_t> cluster_sizes;
};

// Assigns every row to its nearest centroid. Data of fewer features than the centroids have zeros
// there, as libsvm text leaves them out. Errors: kInvalidData if they have more; `origin` names the
// data.
Clustering ClusterRows(const model::Centroids& centroids, const data::Dataset& dataset,
                       std::string_view origin);

}  // namespace lambdaml::train
