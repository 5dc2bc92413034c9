#include "lambdaml/model/kmeans_centroids.h"

#include <cmath>
#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::model {

void CheckCentroids(const Centroids& centroids, std::string_view what) {
  const auto fail = [&](const std::string& message) {
    throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", what, message));
  };
  const int64_t k = centroids.k;
  const int64_t n_features = centroids.n_features;
  if (k < 1 || k > kClustersMax) fail(fmt::format("{} clusters; give 1 to {}", k, kClustersMax));
  const auto size = static_cast<int64_t>(centroids.values.size());
  if (n_features < 0 ||
      (n_features == 0 ? size != 0 : size / n_features != k || size % n_features)) {
    fail(fmt::format("{} numbers do not make {} centroids of {} features", size, k, n_features));
  }
  for (int64_t i = 0; i < size; ++i) {
    const float value = centroids.values[static_cast<size_t>(i)];
    if (!std::isfinite(value)) {
      fail(fmt::format("coordinate {} of centroid {} is {}; every number must be finite",
                       i % n_features, i / n_features, value));
    }
  }
}

}  // namespace lambdaml::model
