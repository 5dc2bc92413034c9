// Data sets and a slow reference for the tests of k-means.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_centroids.h"

namespace lambdaml::model {

// Rows, and the same rows sparse.
struct KMeansData {
  int64_t rows = 0;
  int64_t n_features = 0;
  std::vector<float> table;
  std::vector<int64_t> row_offsets;
  std::vector<int32_t> columns;
  std::vector<float> values;

  KMeansData(int64_t rows_in, int64_t n_features_in, std::vector<float> table_in)
      : rows(rows_in), n_features(n_features_in), table(std::move(table_in)), row_offsets{0} {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t j = 0; j < n_features; ++j) {
        const float value = table[static_cast<size_t>(r * n_features + j)];
        if (value == 0) continue;
        columns.push_back(static_cast<int32_t>(j));
        values.push_back(value);
      }
      row_offsets.push_back(static_cast<int64_t>(columns.size()));
    }
  }

  data::Dataset Dense() const {
    data::Dataset dataset;
    dataset.features = data::DenseRows{rows, n_features, table};
    return dataset;
  }
  data::Dataset Sparse() const {
    data::Dataset dataset;
    dataset.features = data::SparseRows{rows, n_features, row_offsets, columns, values};
    return dataset;
  }
};

inline std::vector<float> NormalNumbers(int64_t count, uint64_t seed, double scale = 1) {
  base::Random random(seed);
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = static_cast<float>(scale * random.Normal());
  return numbers;
}

// Rows around `clusters` centres with noise of the given size.
inline KMeansData Clustered(int64_t rows, int64_t n_features, int64_t clusters, double noise,
                            uint64_t seed, double offset = 0) {
  const std::vector<float> centres = NormalNumbers(clusters * n_features, seed);
  base::Random random(seed + 1);
  std::vector<float> table;
  for (int64_t r = 0; r < rows; ++r) {
    const auto c = static_cast<int64_t>(random.Below(static_cast<uint64_t>(clusters)));
    for (int64_t j = 0; j < n_features; ++j) {
      const double centre = static_cast<double>(centres[static_cast<size_t>(c * n_features + j)]);
      table.push_back(static_cast<float>(offset + centre + noise * random.Normal()));
    }
  }
  return {rows, n_features, std::move(table)};
}

// Small whole numbers: every distance is exact in any precision, and many are equal.
inline KMeansData WholeNumbers(int64_t rows, int64_t n_features, uint64_t bound, uint64_t seed) {
  base::Random random(seed);
  std::vector<float> table(static_cast<size_t>(rows * n_features));
  for (float& value : table) value = static_cast<float>(random.Below(bound));
  return {rows, n_features, std::move(table)};
}

inline Centroids FirstRows(const KMeansData& data, int64_t k) {
  Centroids centroids{k, data.n_features, {}};
  centroids.values.assign(data.table.begin(),
                          data.table.begin() + static_cast<ptrdiff_t>(k * data.n_features));
  return centroids;
}

// ‖x − c‖² with 64 digits, in the columns' order.
inline long double ReferenceDistance(const float* x, const float* c, int64_t n_features) {
  long double sum = 0;
  for (int64_t j = 0; j < n_features; ++j) {
    const long double difference = static_cast<long double>(x[j]) - static_cast<long double>(c[j]);
    sum += difference * difference;
  }
  return sum;
}

// One Lloyd step by its definition.
struct ReferenceStep {
  std::vector<int32_t> assignments;
  std::vector<char> tied;  // whether float64 cannot be expected to tell the two nearest apart
  std::vector<long double> sums;
  std::vector<int64_t> counts;
  long double inertia = 0;
};

inline ReferenceStep StepByDefinition(const KMeansData& data, const Centroids& centroids) {
  ReferenceStep step;
  const int64_t d = data.n_features;
  step.sums.resize(centroids.values.size());
  step.counts.resize(static_cast<size_t>(centroids.k));
  for (int64_t r = 0; r < data.rows; ++r) {
    const float* const x = data.table.data() + r * d;
    long double best = std::numeric_limits<long double>::infinity();
    long double second = best;
    int64_t nearest = 0;
    for (int64_t c = 0; c < centroids.k; ++c) {
      const long double distance = ReferenceDistance(x, centroids.row(c), d);
      if (distance < best) {
        second = best;
        best = distance;
        nearest = c;
      } else if (distance < second) {
        second = distance;
      }
    }
    step.assignments.push_back(static_cast<int32_t>(nearest));
    step.tied.push_back(second > best && second - best < 1e-13L * second ? 1 : 0);
    step.inertia += best;
    ++step.counts[static_cast<size_t>(nearest)];
    for (int64_t j = 0; j < d; ++j) {
      step.sums[static_cast<size_t>(nearest * d + j)] += static_cast<long double>(x[j]);
    }
  }
  return step;
}

// The means of the clusters; an empty cluster stays where it is.
inline void MoveToMeans(const std::vector<double>& sums, const std::vector<int64_t>& counts,
                        Centroids* centroids) {
  const auto d = static_cast<size_t>(centroids->n_features);
  for (size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] == 0) continue;
    for (size_t j = 0; j < d; ++j) {
      centroids->values[c * d + j] =
          static_cast<float>(sums[c * d + j] / static_cast<double>(counts[c]));
    }
  }
}

}  // namespace lambdaml::model
