// The nearest centroid of every row of a shard, from step to step.
//
// A step takes the centroids into a table, lists the rows that may have a nearer centroid than
// their own (kmeans_bounds.h), and scans those in batches (kmeans_scanner.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_bounds.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_scanner.h"
#include "lambdaml/model/kmeans_table.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model::kmeans {

// What is told of rows that change their cluster.
class MoveListener {
 public:
  virtual ~MoveListener() = default;
  // `from` are the rows' old clusters, -1 for none. Called from several threads at once; `lane` is
  // below Assigner::lane_count() and one thread's at a time.
  virtual void OnMoved(size_t lane, std::span<const int64_t> rows,
                       std::span<const int32_t> from) = 0;
};

// When bounds on distances are kept between steps.
enum class Pruning {
  kNever,
  kIfItPays,
  kAlways,
};

// Memory: 4 bytes a row, bounds, the table, and a scanner per thread.
class Assigner {
 public:
  // The dataset and the pool must live as long as this.
  Assigner(const data::Dataset& dataset, base::ThreadPool& pool, Pruning prune,
           const Kernels& kernels);
  Assigner(const Assigner&) = delete;
  Assigner& operator=(const Assigner&) = delete;
  ~Assigner();

  // Writes each row's nearest centroid to assignments[r], which holds what the last call wrote
  // there, or -1 at the first call and when k is another.
  // Errors: kInvalidArgument for centroids that are not finite or not of this many features.
  void Assign(const Centroids& centroids, std::span<int32_t> assignments, MoveListener* listener);

  // The nearest centroids of a range of rows. Leaves the state of Assign alone.
  void AssignRange(RowRange range, const Centroids& centroids, std::span<int32_t> assignments);

  size_t lane_count() const { return lanes_.size(); }

  // (row, centroid) pairs that the last Assign compared, as a share of all.
  double scored_share() const { return scored_share_; }

 private:
  struct Lane;
  struct Step;

  void MeasureRows();
  void RunBlocks(const Step& step, RowRange range);
  void RunBlock(const Step& step, RowRange block, size_t lane_number);

  const data::Dataset& dataset_;
  base::ThreadPool& pool_;
  const Pruning prune_;
  std::vector<float> shift_;
  std::vector<float> squared_norms_;
  RowSource source_;
  CentroidTable table_;
  RowBounds bounds_;
  bool has_bounds_ = false;  // of the rows' assignments to the table's centroids
  std::vector<std::unique_ptr<Lane>> lanes_;
  double scored_share_ = 1;
};

}  // namespace lambdaml::model::kmeans
