// The parameters of k-means: k points among the rows.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace lambdaml::model {

// Row-major: values[c * n_features + j] is coordinate j of cluster c's centroid.
struct Centroids {
  int64_t k = 0;
  int64_t n_features = 0;
  std::vector<float> values;  // k * n_features

  const float* row(int64_t c) const { return values.data() + c * n_features; }
  float* row(int64_t c) { return values.data() + c * n_features; }
};

// Centroids are at most so many: assignments are int32.
inline constexpr int64_t kClustersMax = 1 << 30;

// Throws unless 1 <= k <= kClustersMax and the size fits k and n_features. `what` names the
// centroids in the message. Errors: kInvalidArgument.
void CheckShape(const Centroids& centroids, std::string_view what);
// The same, and throws unless every number is finite.
void CheckCentroids(const Centroids& centroids, std::string_view what);

}  // namespace lambdaml::model
