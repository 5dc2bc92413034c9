#include "lambdaml/model/kmeans_fresh_sums.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_distance.h"
#include "lambdaml/model/kmeans_rounding.h"

namespace lambdaml::model::kmeans {
namespace {

// Rows in the order of their clusters; of one cluster in their own order.
struct RowsByCluster {
  std::vector<int64_t> begins;  // k + 1
  std::vector<int64_t> rows;

  RowsByCluster(std::span<const int32_t> assignments, int64_t k)
      : begins(static_cast<size_t>(k) + 2), rows(assignments.size()) {
    // begins[c + 2] counts cluster c, then begins[c + 1] is where its next row goes.
    for (const int32_t c : assignments) ++begins[static_cast<size_t>(c) + 2];
    for (size_t c = 2; c < begins.size(); ++c) begins[c] += begins[c - 1];
    for (size_t r = 0; r < assignments.size(); ++r) {
      int64_t& next = begins[static_cast<size_t>(assignments[r]) + 1];
      rows[static_cast<size_t>(next++)] = static_cast<int64_t>(r);
    }
  }
  std::span<const int64_t> of(size_t c) const {
    return std::span(rows).subspan(static_cast<size_t>(begins[c]),
                                   static_cast<size_t>(begins[c + 1] - begins[c]));
  }
};

double SquaredNorm(std::span<const float> values) {
  Doubles lanes = {};
  const auto size = static_cast<int64_t>(values.size());
  for (int64_t i = 0; i < size; i += kDoubles) {
    const Doubles x = LoadDoubles(values.data() + i, size - i);
    lanes += x * x;
  }
  double total = 0;
  for (int i = 0; i < kDoubles; ++i) total += lanes[i];
  return total;
}

double InertiaOf(const data::SparseRows& rows, std::span<const int64_t> members, const float* c) {
  const double norm = SquaredNorm({c, static_cast<size_t>(rows.n_features)});
  double inertia = 0;
  for (const int64_t r : members) {
    const SparseRow x = SparseRowOf(rows, r);
    double differences = 0;
    double squares = 0;
    for (size_t i = 0; i < x.columns.size(); ++i) {
      const auto coordinate = static_cast<double>(c[x.columns[i]]);
      const double difference = static_cast<double>(x.values[i]) - coordinate;
      differences += difference * difference;
      squares += coordinate * coordinate;
    }
    inertia += differences + std::max(0.0, norm - squares);
  }
  return inertia;
}

// Sums a cluster's rows. `parts` are all zeros before and after.
void SumRows(const data::SparseRows& rows, std::span<const int64_t> members, const SumGrid& grid,
             double* parts, std::span<double> to) {
  std::ranges::fill(to, 0.0);
  for (const int64_t r : members) grid.Add(SparseRowOf(rows, r), 1, parts);
  const auto for_each_column = [&](const auto& use) {
    for (const int64_t r : members) {
      for (const int32_t j : SparseRowOf(rows, r).columns) use(static_cast<size_t>(j));
    }
  };
  for_each_column([&](size_t j) { to[j] = SumAt(parts, j); });
  for_each_column([&](size_t j) { parts[HighAt(j)] = parts[LowAt(j)] = 0; });
}

}  // namespace

double SumClusters(const data::SparseRows& rows, std::span<const int32_t> assignments,
                   const Centroids& centroids, const SumGrid& grid, base::ThreadPool& pool,
                   std::span<double> sums, std::span<int64_t> counts) {
  const RowsByCluster by_cluster(assignments, centroids.k);
  const auto k = static_cast<size_t>(centroids.k);
  const auto n_features = static_cast<size_t>(rows.n_features);
  std::vector<double> inertias(k);
  std::atomic<size_t> next{0};
  pool.ForEachBlock(static_cast<size_t>(pool.thread_count()), [&](size_t) {
    AlignedArray<double> parts;
    if (!sums.empty()) parts = MakeAligned<double>(static_cast<size_t>(PartsSize(rows.n_features)));
    for (size_t c = next++; c < k; c = next++) {
      const std::span<const int64_t> members = by_cluster.of(c);
      if (!counts.empty()) counts[c] = static_cast<int64_t>(members.size());
      if (!members.empty()) {
        inertias[c] = InertiaOf(rows, members, centroids.row(static_cast<int64_t>(c)));
      }
      if (!sums.empty()) {
        SumRows(rows, members, grid, parts.get(), sums.subspan(c * n_features, n_features));
      }
    }
  });
  double inertia = 0;
  for (const double of_cluster : inertias) inertia += of_cluster;
  return inertia;
}

}  // namespace lambdaml::model::kmeans
