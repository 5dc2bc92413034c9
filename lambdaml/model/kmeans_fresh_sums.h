// The sums, counts and inertia of the clusters of sparse rows, computed anew for each step: where
// kmeans_running_sums.h would take too much memory.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_exact_sums.h"

namespace lambdaml::model::kmeans {

// sums and counts may be empty. Returns Σ_r D(x_r, c(r)), where D is taken as
// Σ (x_j − c_j)² over the non-zeros + ‖c‖² − Σ c_j² over the non-zeros: the error of each row's D
// is below (n_features + 8) · 2^-53 · ‖c‖² and that of the sum's roundings.
// Rows of a cluster are added by one thread. Memory: 8 bytes a row, 16 a feature and thread.
double SumClusters(const data::SparseRows& rows, std::span<const int32_t> assignments,
                   const Centroids& centroids, const SumGrid& grid, base::ThreadPool& pool,
                   std::span<double> sums, std::span<int64_t> counts);

}  // namespace lambdaml::model::kmeans
