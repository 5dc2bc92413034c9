#include "lambdaml/train/kmeans_evaluation.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <numeric>
#include <thread>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/model/kmeans_shard.h"

namespace lambdaml::train {
namespace {

data::Dataset Widened(const data::Dataset& dataset, int64_t n_features) {
  if (dataset.n_features() == n_features) return dataset;
  if (!dataset.is_dense()) {
    data::Dataset wider = dataset;
    std::get<data::SparseRows>(wider.features).n_features = n_features;
    return wider;
  }
  data::DenseBuilder wider(n_features);
  wider.Append(dataset);
  return std::move(wider).Finish();
}

}  // namespace

Clustering ClusterRows(const model::Centroids& centroids, const data::Dataset& dataset,
                       std::string_view origin) {
  if (dataset.n_features() > centroids.n_features) {
    throw base::Error(base::ErrorCode::kInvalidData,
                      fmt::format("{} has {} features, the centroids only {}", origin,
                                  dataset.n_features(), centroids.n_features));
  }
  base::ThreadPool pool(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  model::KMeansShard shard(Widened(dataset, centroids.n_features), pool, {.prune = false});
  Clustering result;
  result.cluster_sizes.resize(static_cast<size_t>(centroids.k));
  shard.Assign(centroids, {}, {});
  result.clusters.assign(shard.assignments().begin(), shard.assignments().end());
  for (const int32_t cluster : result.clusters) {
    ++result.cluster_sizes[static_cast<size_t>(cluster)];
  }
  result.distances.resize(result.clusters.size());
  shard.Distances(centroids, result.distances);
  result.inertia = std::accumulate(result.distances.begin(), result.distances.end(), 0.0);
  for (double& distance : result.distances) distance = std::sqrt(distance);
  return result;
}

}  // namespace lambdaml::train
