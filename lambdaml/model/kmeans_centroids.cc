#include "lambdaml/model/kmeans_centroids.h"

#include <cmath>
#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::model {

namespace {

[[noreturn]] void Fail(std::string_view what, const std::string& message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", what, message));
}

}  // namespace

void CheckShape(const Centroids& centroids, std::string_view what) {
  const int64_t k = centroids.k;
  const int64_t n_features = centroids.n_features;
  if (k < 1 || k > kClustersMax) {
    Fail(what, fmt::format("{} clusters; give 1 to {}", k, kClustersMax));
  }
  const auto size = static_cast<int64_t>(centroids.values.size());
  const bool fits =
      n_features > 0 ? size / n_features == k && size % n_features == 0 : size == n_features;
  if (!fits) {
    Fail(what,
         fmt::format("{} numbers do not make {} centroids of {} features", size, k, n_features));
  }
}

void CheckCentroids(const Centroids& centroids, std::string_view what) {
  CheckShape(centroids, what);
  for (size_t i = 0; i < centroids.values.size(); ++i) {
    if (std::isfinite(centroids.values[i])) continue;
    const auto n_features = static_cast<size_t>(centroids.n_features);
    Fail(what, fmt::format("coordinate {} of centroid {} is {}; every number must be finite",
                           i % n_features, i / n_features, centroids.values[i]));
  }
}

}  // namespace lambdaml::model
