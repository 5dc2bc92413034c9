// What the tests of k-means share: rows around random centres, the workers that hold them, and a
// plain Lloyd in float64 on the whole data.
#pragma once

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/select.h"
#include "lambdaml/train/kmeans_training.h"

#include "tests/unit/train/ranks.h"

namespace lambdaml::train {

using Matrix = std::vector<std::vector<float>>;

inline data::Dataset DatasetOf(const Matrix& rows, bool dense = true) {
  data::DenseBuilder builder(static_cast<int64_t>(rows.front().size()));
  for (const auto& row : rows) std::copy(row.begin(), row.end(), builder.AppendRow(7));
  const data::Dataset dataset = std::move(builder).Finish();
  return dense ? dataset : data::ToSparse(dataset);
}

// Rows around `centres` random centres that overlap; about a third of the numbers are zero.
inline Matrix RandomRows(int64_t rows, size_t n_features, uint64_t centres, uint64_t seed) {
  base::Random random(seed);
  Matrix means(centres, std::vector<float>(n_features));
  for (auto& mean : means) {
    for (float& value : mean) value = static_cast<float>(2 * random.Normal());
  }
  Matrix result;
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<float> row = means[random.Below(centres)];
    for (float& value : row) {
      value = random.Below(3) == 0 ? 0 : value + static_cast<float>(random.Normal());
    }
    result.push_back(std::move(row));
  }
  return result;
}

inline Matrix MatrixOf(const model::Centroids& centroids) {
  Matrix rows;
  for (int64_t c = 0; c < centroids.k; ++c) {
    rows.emplace_back(centroids.row(c), centroids.row(c) + centroids.n_features);
  }
  return rows;
}

inline model::Centroids CentroidsOf(const Matrix& rows) {
  model::Centroids centroids;
  centroids.k = static_cast<int64_t>(rows.size());
  centroids.n_features = static_cast<int64_t>(rows.front().size());
  for (const auto& row : rows) {
    for (const float value : row) centroids.values.push_back(value);
  }
  return centroids;
}

// The data of a job in shards of the given sizes, one after the other.
struct Sharding {
  data::Dataset whole;
  std::vector<int64_t> sizes;
};

// As even as data::Split makes them.
inline Sharding EvenShards(data::Dataset whole, int64_t count) {
  Sharding sharding = {.whole = std::move(whole), .sizes = {}};
  const int64_t rows = sharding.whole.rows();
  for (int64_t i = 0; i < count; ++i) {
    sharding.sizes.push_back(rows / count + (i < rows % count ? 1 : 0));
  }
  return sharding;
}

inline data::Manifest ManifestOf(const Sharding& sharding) {
  data::Manifest manifest;
  for (const int64_t size : sharding.sizes) {
    manifest.Add({.name = std::to_string(manifest.shards.size()), .rows = size});
  }
  return manifest;
}

// What one worker of a k-means job has.
struct KmeansRank {
  const RowExchange& rows;
  comm::Communicator& peers;
  base::ThreadPool& pool;
  store::Store& store;
  const comm::Membership& membership;
};

// Calls rank_main for every worker at once.
inline void ForEachKmeansRank(const Sharding& sharding, int worker_count,
                              const std::function<void(const KmeansRank&)>& rank_main,
                              comm::Pattern pattern = comm::Pattern::kReduce) {
  const data::Manifest manifest = ManifestOf(sharding);
  ForEachRank(worker_count, [&](store::Store& store, const comm::Membership& membership) {
    const RowNumbers numbers(manifest, membership.rank, worker_count);
    std::vector<int64_t> mine;
    for (int64_t number = 0; number < numbers.total(); ++number) {
      if (numbers.RowOf(number)) mine.push_back(number);
    }
    std::sort(mine.begin(), mine.end(),
              [&](int64_t a, int64_t b) { return *numbers.RowOf(a) < *numbers.RowOf(b); });
    const data::Dataset rows = data::TakeRows(sharding.whole, mine);
    base::ThreadPool pool(1);
    const auto peers = comm::MakeCommunicator(pattern, store, membership);
    rank_main({RowExchange(rows, numbers, *peers), *peers, pool, store, membership});
  });
}

inline double Squared(const std::vector<float>& x, const std::vector<double>& c) {
  double sum = 0;
  for (size_t j = 0; j < c.size(); ++j) sum += (x[j] - c[j]) * (x[j] - c[j]);
  return sum;
}

// Lloyd's iterations as a textbook has them, in float64 throughout.
class PlainLloyd {
 public:
  PlainLloyd(const Matrix& rows, const Matrix& initial)
      : rows_(rows), clusters_(rows.size(), initial.size()) {
    for (const auto& row : initial) centroids_.emplace_back(row.begin(), row.end());
    Assign();
  }

  // One update of the centroids, and what they are worth then.
  void Step() {
    for (size_t c = 0; c < centroids_.size(); ++c) {
      std::vector<double> sum(centroids_[c].size(), 0.0);
      double count = 0;
      for (size_t r = 0; r < rows_.size(); ++r) {
        if (clusters_[r] != c) continue;
        ++count;
        for (size_t j = 0; j < sum.size(); ++j) sum[j] += rows_[r][j];
      }
      if (count == 0) continue;
      for (size_t j = 0; j < sum.size(); ++j) centroids_[c][j] = sum[j] / count;
    }
    Assign();
  }

  double inertia() const { return inertia_; }
  int64_t changed() const { return changed_; }
  const std::vector<std::vector<double>>& centroids() const { return centroids_; }
  std::vector<int64_t> sizes() const {
    std::vector<int64_t> sizes(centroids_.size(), 0);
    for (const size_t cluster : clusters_) ++sizes[cluster];
    return sizes;
  }

 private:
  void Assign() {
    inertia_ = 0;
    changed_ = 0;
    for (size_t r = 0; r < rows_.size(); ++r) {
      size_t nearest = 0;
      double best = std::numeric_limits<double>::infinity();
      for (size_t c = 0; c < centroids_.size(); ++c) {
        const double squared = Squared(rows_[r], centroids_[c]);
        if (squared >= best) continue;
        best = squared;
        nearest = c;
      }
      inertia_ += best;
      changed_ += nearest == clusters_[r] ? 0 : 1;
      clusters_[r] = nearest;
    }
  }

  const Matrix& rows_;
  std::vector<std::vector<double>> centroids_;
  std::vector<size_t> clusters_;
  double inertia_ = 0;
  int64_t changed_ = 0;
};

}  // namespace lambdaml::train
