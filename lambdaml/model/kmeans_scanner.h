// The nearest centroid of each of a batch of rows, and what bounds can be drawn from its scores.
//
// Let s be a computed score and E at least |s − the exact score| for one row and all centroids
// (docs/kmeans.md has the proof):
//
//   E = u·(chain + 16)·‖x‖·max‖c‖ + 4u·(‖x‖² + max‖c‖²) + (n_features + 16)·2^-148     u = 2^-24
//
// where chain is the longest chain of sums of a product. If the second smallest s exceeds the
// smallest by more than 2E, the smallest belongs to the nearest centroid. Otherwise D decides among
// those within 2E of the smallest. Rows of which a product could overflow are left to D altogether.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_kernels.h"
#include "lambdaml/model/kmeans_table.h"

namespace lambdaml::model::kmeans {

// What the rows are and how they are read. All of it must live as long as its users.
struct RowSource {
  const data::Dataset& dataset;
  std::span<const float> shift;          // what dense rows are centred by
  std::span<const float> squared_norms;  // ‖x − shift‖², rounded up to float32's largest number
  const Kernels& kernels;
};

// Rows of a batch at most: as many as stay in the second cache, if dense.
int64_t BatchRows(const data::Dataset& dataset);

// One thread's. Memory: a batch of packed rows twice, if dense; 4 bytes a row and group.
class RowScanner {
 public:
  explicit RowScanner(const RowSource& source);

  // Finds the nearest centroids of `rows`, at most BatchRows(). need[i] has a bit for each group
  // that row i must be compared with, which must include the nearest's; empty: all.
  // next_rows: those of the next call, so far as they are known.
  // The spans of the results hold until the next call and have one element per row.
  void Scan(const CentroidTable& table, const Centroids& centroids, std::span<const int64_t> rows,
            std::span<const uint64_t> need, std::span<const int64_t> next_rows);

  std::span<const int32_t> clusters() const { return clusters_; }
  // (row, centroid) pairs that were compared.
  int64_t scored() const { return scored_; }

  // Turns scores into bounds on distances. Of the last Scan.
  void ComputeBounds();
  // At least the distance to the nearest centroid.
  std::span<const float> upper() const { return {best_.get(), rows_.size()}; }
  // At most the distance to any other centroid of group g, if the row was compared with it.
  std::span<const float> lower(int g) const {
    return {lower_.data() + static_cast<size_t>(g * batch_rows_), rows_.size()};
  }
  std::span<const uint64_t> scanned() const { return scanned_; }

 private:
  // A row that float64 decides.
  struct Unclear {
    size_t at;  // in the batch
    int32_t cluster = -1;
    double score = 0;              // of sparse rows, in float64
    double squared_distance = -1;  // negative: not computed
  };

  size_t padded() const {
    return (rows_.size() + kLaneRows - 1) / kLaneRows * static_cast<size_t>(kLaneRows);
  }
  void ComputeErrors();
  std::span<const int64_t> SelectRows(int g, std::span<const uint64_t> need);
  void ScanGroup(int g, std::span<const int64_t> selected);
  void MergeAll(int g);
  void MergeSubset(int g);
  void FindUnclear();
  void Settle();
  void SettleSome(std::span<Unclear> unclear);
  void Collect(const CentroidRange& range, std::span<Unclear> unclear);
  void Offer(int32_t cluster, Unclear* unclear) const;
  double PreciseScore(int64_t row, int32_t cluster) const;
  double PreciseError(int64_t row) const;
  void Pack(std::span<const int64_t> rows, std::span<const int64_t> next, float* to);

  const RowSource source_;
  const int64_t batch_rows_;
  const CentroidTable* table_ = nullptr;
  const Centroids* centroids_ = nullptr;
  std::span<const int64_t> rows_;
  std::span<const int64_t> next_rows_;

  // Per row of the batch.
  AlignedArray<float> squared_norm_;
  AlignedArray<float> error_;       // E, +inf where no score can be trusted
  AlignedArray<float> best_;        // the smallest score; then a bound
  AlignedArray<float> own_second_;  // the next smallest in its group
  AlignedArray<float> runner_up_;   // the next smallest in any group
  AlignedArray<int32_t> index_;     // the smallest's position
  std::vector<int32_t> clusters_;
  std::vector<uint64_t> scanned_;
  std::vector<float> lower_;  // [group][row]: smallest scores; then bounds
  std::vector<Unclear> unclear_;

  // One group's.
  AlignedArray<float> group_best_;
  AlignedArray<float> group_second_;
  AlignedArray<int32_t> group_index_;
  std::vector<size_t> subset_;  // the rows that need it; empty: all of the batch
  std::vector<int64_t> subset_rows_;

  AlignedArray<float> packed_;
  bool is_packed_ = false;
  AlignedArray<float> subset_packed_;
  std::vector<const float*> pointers_;
  std::vector<float> thresholds_;
  std::vector<Hit> hits_;
  int64_t scored_ = 0;
};

}  // namespace lambdaml::model::kmeans
