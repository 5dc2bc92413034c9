#include "lambdaml/train/kmeans_training.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::train {

double Movement(const model::Centroids& from, const model::Centroids& to) {
  double total = 0;
  for (int64_t c = 0; c < to.k; ++c) {
    total += std::sqrt(model::SquaredDistance(to.row(c), from.row(c), to.n_features));
  }
  return total / static_cast<double>(to.k);
}

void KmeansResult::VisitState(wire::State& shared) {
  shared.Visit("k", centroids.k);
  shared.Visit("n_features", centroids.n_features);
  shared.Visit("centroids", centroids.values);
  shared.Visit("epochs", epochs);
  shared.Visit("initial_inertia", initial_inertia);
  shared.Visit("inertia", inertia);
  shared.Visit("movement", movement);
  shared.Visit("reseeded", reseeded);
}

ClusterSums::ClusterSums(int64_t k, int64_t n_features)
    : n_features_(n_features),
      sum_count_(static_cast<size_t>(k * n_features)),
      values_(sum_count_ + static_cast<size_t>(k) + kMeasureCount, 0.0),
      counts_(static_cast<size_t>(k), 0) {}

void ClusterSums::AddOverRanks(comm::Communicator& peers) {
  const std::span<double> travelling = std::span(values_).subspan(sum_count_, counts_.size());
  std::transform(counts_.begin(), counts_.end(), travelling.begin(),
                 [](int64_t count) { return static_cast<double>(count); });
  peers.AllReduceSum(values_, {});
  std::transform(travelling.begin(), travelling.end(), counts_.begin(),
                 [](double count) { return static_cast<int64_t>(count); });
}

void ClusterSums::VisitState(wire::State& shared) {
  shared.Visit("sums", std::span(values_));
  shared.Visit("counts", counts_);
}

}  // namespace lambdaml::train
