// What the k-means algorithms across workers have in common: what they are given, what they give.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/train/generation.h"
#include "lambdaml/train/kmeans_rows.h"

namespace lambdaml::train {

// Chooses the first centroids, the same on every rank. May take rounds.
using KmeansStart = std::function<model::Centroids()>;

struct KmeansOptions {
  int64_t epochs_max = 0;
  double threshold = 0;  // stop once Movement is at most this; 0: only when nothing moves at all
  std::function<base::Duration()> communicating;  // time spent in the channel so far
  std::function<void(const report::EpochRecord&)> on_epoch;
};

struct KmeansResult {
  model::Centroids centroids;
  int64_t epochs = 0;  // updates of the centroids (mini-batch: passes over the data)
  std::string stopped_by;
  double initial_inertia = 0;
  double inertia = 0;  // of all ranks' rows to `centroids`
  double movement = 0;
  int64_t reseeded = 0;  // empty clusters that were given a row, in all epochs
  std::vector<int64_t> cluster_sizes;

  // What is the same on every rank.
  void VisitState(wire::State& shared);
};

// The mean over the clusters of how far their centroids moved: Σ_c ‖to_c − from_c‖ / k.
double Movement(const model::Centroids& from, const model::Centroids& to);

// The sums of one round as they travel: k·n_features sums, k counts, and what else is measured, all
// float64, so that what N workers add up is what one would, to float64's rounding.
class ClusterSums {
 public:
  enum Measure : size_t { kInertia, kChanged, kMeasureCount };

  ClusterSums(int64_t k, int64_t n_features);

  std::span<double> sums() { return std::span(values_).first(sum_count_); }
  double sum(int64_t cluster, int64_t feature) const {
    return values_[static_cast<size_t>(cluster * n_features_ + feature)];
  }
  double& measure(Measure measure) { return values_[sum_count_ + counts_.size() + measure]; }
  std::vector<int64_t>& counts() { return counts_; }
  const std::vector<int64_t>& counts() const { return counts_; }
  int64_t k() const { return static_cast<int64_t>(counts_.size()); }
  int64_t n_features() const { return n_features_; }

  // Sums, counts and measures become those of all ranks. One round.
  void AddOverRanks(comm::Communicator& peers);

  void VisitState(wire::State& shared);

 private:
  int64_t n_features_;
  size_t sum_count_;
  std::vector<double> values_;  // sums, then counts on their way, then measures
  std::vector<int64_t> counts_;
};

}  // namespace lambdaml::train
