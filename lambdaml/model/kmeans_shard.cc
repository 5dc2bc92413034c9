#include "lambdaml/model/kmeans_shard.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "lambdaml/base/check.h"

namespace lambdaml::model {

struct KMeansShard::State {
  data::Dataset dataset;
  base::ThreadPool& pool;
  Options options;
  std::vector<int32_t> assignments;
};

KMeansShard::KMeansShard(data::Dataset dataset, base::ThreadPool& pool, const Options& options)
    : state_(new State{std::move(dataset), pool, options, {}}) {}

KMeansShard::KMeansShard(data::Dataset dataset, base::ThreadPool& pool)
    : KMeansShard(std::move(dataset), pool, Options{}) {}

KMeansShard::~KMeansShard() = default;

int64_t KMeansShard::rows() const { return state_->dataset.rows(); }
int64_t KMeansShard::n_features() const { return state_->dataset.n_features(); }
std::span<const int32_t> KMeansShard::assignments() const { return state_->assignments; }

namespace {

std::pair<int32_t, double> NearestOf(const data::Dataset& dataset, int64_t r,
                                     const Centroids& centroids) {
  std::pair<int32_t, double> best{0, std::numeric_limits<double>::infinity()};
  for (int64_t c = 0; c < centroids.k; ++c) {
    const double distance = SquaredDistance(dataset, r, centroids.row(c));
    if (distance < best.second) best = {static_cast<int32_t>(c), distance};
  }
  return best;
}

}  // namespace

AssignStats KMeansShard::Assign(const Centroids& centroids, std::span<double> sums,
                                std::span<int64_t> counts) {
  CheckCentroids(centroids, "centroids");
  AssignStats stats;
  std::ranges::fill(sums, 0.0);
  std::ranges::fill(counts, 0);
  state_->assignments.resize(static_cast<size_t>(rows()), -1);
  std::vector<float> row(static_cast<size_t>(n_features()));
  for (int64_t r = 0; r < rows(); ++r) {
    const auto [c, distance] = NearestOf(state_->dataset, r, centroids);
    if (std::exchange(state_->assignments[static_cast<size_t>(r)], c) != c) ++stats.changed_rows;
    stats.inertia += distance;
    if (sums.empty()) continue;
    CopyRow(state_->dataset, r, row);
    ++counts[static_cast<size_t>(c)];
    double* to = sums.data() + c * n_features();
    for (size_t j = 0; j < row.size(); ++j) to[j] += static_cast<double>(row[j]);
  }
  return stats;
}

void KMeansShard::Distances(const Centroids& centroids, std::span<double> squared) const {
  for (int64_t r = 0; r < rows(); ++r) {
    squared[static_cast<size_t>(r)] = SquaredDistance(
        state_->dataset, r, centroids.row(state_->assignments[static_cast<size_t>(r)]));
  }
}

std::vector<FarRow> KMeansShard::FarthestRows(const Centroids& centroids, int64_t count) const {
  std::vector<double> squared(static_cast<size_t>(rows()));
  Distances(centroids, squared);
  std::vector<FarRow> far(squared.size());
  for (size_t r = 0; r < far.size(); ++r) far[r] = {static_cast<int64_t>(r), squared[r]};
  std::ranges::stable_sort(far, std::greater{}, &FarRow::squared_distance);
  far.resize(std::min(far.size(), static_cast<size_t>(count)));
  return far;
}

double KMeansShard::MiniBatch(RowRange range, Centroids* centroids, std::span<int64_t> counts) {
  CheckCentroids(*centroids, "centroids");
  const auto size = static_cast<size_t>(n_features());
  std::vector<double> sums(centroids->values.size());
  std::vector<int64_t> batch_counts(static_cast<size_t>(centroids->k));
  std::vector<float> row(size);
  double inertia = 0;
  for (int64_t r = range.begin; r < range.end; ++r) {
    const auto [c, distance] = NearestOf(state_->dataset, r, *centroids);
    inertia += distance;
    CopyRow(state_->dataset, r, row);
    ++batch_counts[static_cast<size_t>(c)];
    for (size_t j = 0; j < size; ++j) {
      sums[static_cast<size_t>(c) * size + j] += static_cast<double>(row[j]);
    }
  }
  for (size_t c = 0; c < counts.size(); ++c) {
    if (batch_counts[c] == 0) continue;
    const auto before = static_cast<double>(counts[c]);
    counts[c] += batch_counts[c];
    for (size_t j = 0; j < size; ++j) {
      float& value = centroids->values[c * size + j];
      value = static_cast<float>((before * static_cast<double>(value) + sums[c * size + j]) /
                                 static_cast<double>(counts[c]));
    }
  }
  return inertia;
}

}  // namespace lambdaml::model
