// Bounds on each row's distances, kept between steps (Hamerly 2010, "Making k-means even faster";
// Ding et al. 2015, "Yinyang k-means"):
//
//   upper      at least the distance to its own centroid
//   lower[g]   at most the distance to any other centroid of group g
//
// which grow and shrink by what the centroids move. A group with lower[g] > upper cannot hold the
// nearest centroid, and a row for which that is so of every group need not be read.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_scanner.h"
#include "lambdaml/model/kmeans_table.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model::kmeans {

// Rows to be looked at, and for each a bit for every group.
struct ActiveRows {
  std::vector<int64_t> rows;
  std::vector<uint64_t> need;
};

// Memory: 4 bytes a row, and 4 a row and group.
class RowBounds {
 public:
  // Whether scores of a row cost more than its bounds.
  static bool Pay(const data::Dataset& dataset, int64_t k);

  // Groups for k centroids, so that bounds take at most a quarter of what the rows take, but no
  // fewer than one.
  static int GroupsMax(const data::Dataset& dataset, int64_t k);

  // Forgets all; room for so many.
  void Resize(int64_t rows, int groups);

  // Moves the bounds of a range of rows (from a multiple of 16 on) by what the table's centroids
  // have moved, and lists the rows that may have a nearer centroid than their own, with the groups
  // that may have it and their own centroid's. assignments: of all rows, by the last step. Threads:
  // any number, for different ranges.
  void FindActive(const RowSource& source, const CentroidTable& table, const Centroids& centroids,
                  std::span<const int32_t> assignments, RowRange range, ActiveRows* active);

  // Takes the bounds of the rows last scanned. Threads: as above.
  void Save(std::span<const int64_t> rows, const RowScanner& scanner);

 private:
  float* lower_of(int64_t row) {
    return lower_.get() + row / kLaneRows * kLaneRows * groups_ + row % kLaneRows;
  }
  bool Tighten(int64_t row, float distance, uint64_t* need);

  int groups_ = 0;
  int64_t size_ = 0;
  AlignedArray<float> upper_;
  AlignedArray<float> lower_;  // [row / 16][group][row % 16]
};

}  // namespace lambdaml::model::kmeans
