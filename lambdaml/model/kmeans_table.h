// The centroids as the kernels read them, in groups of neighbours, with what bounds need to know of
// a step: how far each centroid and the farthest of each group have moved.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_kernels.h"

namespace lambdaml::model::kmeans {

// At most so many groups: a row's groups are bits of a word.
inline constexpr int kGroupsMax = 64;

// Memory: one float per coordinate, and k · 32 bytes.
class CentroidTable {
 public:
  // Subtracts `shift` (n_features numbers; none for sparse tables) from every centroid, in float32.
  // unit: the alignment of groups, kBlockCentroids for dense rows or kPanelCentroids for sparse.
  CentroidTable(int64_t n_features, int unit, std::span<const float> shift);

  // Takes new centroids. The number of groups is at most groups_max; each is a whole number of
  // units, but the last. With regroup, or if their number is another, groups are formed anew;
  // otherwise every centroid stays in its group, and moves() are set.
  // Errors: kInvalidArgument if a coordinate is not finite, or of another number of features.
  void Set(const Centroids& centroids, int groups_max, bool regroup, base::ThreadPool& pool);

  // Whether the last Set formed groups anew.
  bool regrouped() const { return regrouped_; }

  int64_t k() const { return k_; }
  int unit() const { return unit_; }
  int group_count() const { return group_count_; }
  // Positions [begin, end) of group g.
  CentroidRange group(int g) const;
  // All positions.
  CentroidRange all() const { return {values_.get(), h_.get(), n_features_, 0, k_}; }
  int group_of(int32_t cluster) const { return group_at(positions_[static_cast<size_t>(cluster)]); }
  int group_at(int32_t position) const { return groups_[static_cast<size_t>(position)]; }

  int32_t cluster_at(int32_t position) const { return order_[static_cast<size_t>(position)]; }

  // ‖c − shift‖² of a cluster's centroid.
  double squared_norm(int32_t cluster) const {
    return squared_norms_[static_cast<size_t>(positions_[static_cast<size_t>(cluster)])];
  }
  // At least ‖c − shift‖ of every centroid.
  float norm_max() const { return norm_max_; }
  // At least how far each cluster's centroid, and any of a group's, has moved since the last Set.
  // A group of which a centroid was a copy of another at the last Set has moved infinitely far.
  std::span<const float> moves() const { return moves_; }
  std::span<const float> group_moves() const { return group_moves_; }

 private:
  void Layout(const Centroids& centroids, int groups_max);
  void Pack(const Centroids& centroids, base::ThreadPool& pool);
  void PackUnit(const Centroids& centroids, int64_t first);
  void HideCopies(const Centroids& centroids);

  int64_t n_features_;
  int unit_;
  std::vector<float> shift_;  // empty for sparse tables

  int64_t k_ = 0;
  int group_count_ = 0;
  int64_t group_size_ = 0;
  bool regrouped_ = false;
  std::vector<int32_t> order_;         // position -> cluster
  std::vector<int32_t> positions_;     // cluster -> position
  std::vector<uint8_t> groups_;        // per position
  AlignedArray<float> values_;         // the layout of kmeans_kernels.h
  AlignedArray<float> h_;              // per position, +inf beyond the last and for copies
  std::vector<double> squared_norms_;  // per position
  std::vector<float> moves_;           // per cluster
  std::vector<float> group_moves_;
  std::vector<char> hidden_;  // per position: a copy of a cluster with a lower number
  float norm_max_ = 0;
};

// Clusters in an order in which every run of group_size are near one another: halved again and
// again along the direction of their largest spread. Exposed for tests.
std::vector<int32_t> OrderByNearness(const Centroids& centroids, int64_t group_size);

}  // namespace lambdaml::model::kmeans
