// The distance of every row to the nearest of a growing set of centres: what k-means++ (Arthur and
// Vassilvitskii 2007) and k-means|| (Bahmani et al. 2012) draw from.
//
// Distances are D of kmeans_distance.h, so they are the same bits for any number of threads and
// shards, and for dense and sparse rows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_centroids.h"

namespace lambdaml::model {

namespace kmeans {
class Assigner;
}

// Memory: 12 bytes a row, 8 more once several centres were added together, and all centres.
// Threads: one caller at a time.
class NearestCentres {
 public:
  // The dataset's numbers and the pool must live as long as this.
  NearestCentres(data::Dataset dataset, base::ThreadPool& pool);
  NearestCentres(const NearestCentres&) = delete;
  NearestCentres& operator=(const NearestCentres&) = delete;
  ~NearestCentres();

  // Adds centres. One pass over the data however many there are. Of one centre only those rows are
  // read for which the triangle inequality leaves open whether it is nearer; of more the nearest is
  // found as a step of Lloyd's iterations finds it.
  // Errors: kInvalidArgument for centres that are not finite or not of this many features.
  void Add(const Centroids& centres);

  int64_t centre_count() const { return centres_.k; }

  // Per row: D to the nearest centre; +inf before the first Add.
  std::span<const double> squared() const { return squared_; }
  // Per row: the nearest centre's number in the order they were added, of equally near ones the
  // lowest; -1 before the first Add.
  std::span<const int32_t> nearest() const { return nearest_; }

 private:
  void AddOne(const float* centre);
  void AddSeveral(const Centroids& centres);
  void Offer(int64_t row, const float* centre, int64_t number);

  data::Dataset dataset_;
  base::ThreadPool& pool_;
  std::unique_ptr<kmeans::Assigner> assigner_;  // once there were several centres
  Centroids centres_;
  std::vector<double> squared_;
  std::vector<int32_t> nearest_;
};

}  // namespace lambdaml::model
