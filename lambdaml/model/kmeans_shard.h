// K-means over the rows one worker holds: one Lloyd step's assignments, sums and inertia, and the
// mini-batch step. What workers exchange and how they begin is not known here.
//
// Assignments are exact: cluster(x) = argmin_c D(x, c), D as in kmeans_distance.h, of equal ones
// the lowest c. Neither pruning nor blocks nor threads nor the instruction set change one of them
// (docs/kmeans.md has the proof). Results are the same bits for any number of threads, and do not
// depend on earlier calls: a step after a restart is the step it would have been.
//
// Cost of a step: at most rows · k · n_features multiply-adds (non-zeros · k for sparse rows);
// after the first step far less where bounds on the distances tell that a row stays.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_distance.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model {

struct AssignStats {
  int64_t changed_rows = 0;  // whose cluster is not that of the last step; all rows at the first
  double inertia = 0;        // Σ_r D(x_r, c) to the nearest of the centroids given
};

struct FarRow {
  int64_t row = 0;  // of the shard
  double squared_distance = 0;
};

class KMeansShard {
 public:
  struct Options {
    bool prune = true;          // keep bounds on distances between steps where that pays
    bool prune_always = false;  // and where it does not
    bool best_kernels = true;   // use all the processor can do, not only what the build is for
  };

  // The dataset's numbers and the pool must live as long as the shard. A shard may have no rows.
  KMeansShard(data::Dataset dataset, base::ThreadPool& pool, const Options& options);
  KMeansShard(data::Dataset dataset, base::ThreadPool& pool);
  KMeansShard(const KMeansShard&) = delete;
  KMeansShard& operator=(const KMeansShard&) = delete;
  ~KMeansShard();

  int64_t rows() const;
  int64_t n_features() const;

  // Assigns every row to its nearest centroid.
  //
  // sums[c * n_features + j] = Σ of x_j over the rows of cluster c, counts[c] = their number. Both
  // are overwritten; both may be empty where only the assignments are wanted. A sum is the exact
  // one rounded once to float64 (kmeans_sums.h has the limits), so it does not depend on any order.
  // An empty cluster has count 0 and sums 0.
  //
  // The inertia is that of the centroids given, not of the means. Its relative error is below 1e-9
  // as long as Σ‖x‖² is below 10^6 times it.
  //
  // Centroids may change in any way between calls; pruning works best when they move little.
  // Errors: kInvalidArgument for centroids that are not finite or not of this many features.
  AssignStats Assign(const Centroids& centroids, std::span<double> sums, std::span<int64_t> counts);

  // The share of rows · k distances that the last Assign computed: 1 if nothing was pruned.
  double scored_share() const;

  // The cluster of each row after the last Assign; empty before the first.
  std::span<const int32_t> assignments() const;

  // squared[r] = D(x_r, centroid of row r's cluster), rows() numbers. `centroids` are those of the
  // last Assign. One pass over the data.
  void Distances(const Centroids& centroids, std::span<double> squared) const;

  // The `count` rows farthest from the centroids they were assigned to by the last Assign, farthest
  // first, of equally far ones the lowest row first; all rows if there are fewer. One pass over the
  // data, O(count) memory per thread.
  std::vector<FarRow> FarthestRows(const Centroids& centroids, int64_t count) const;

  // One step of mini-batch k-means (Sculley 2010, "Web-scale k-means clustering", algorithm 1) on a
  // range of rows. Each row goes to its nearest centroid as it was before the step; then for each
  // row in turn counts[c] += 1, c ← (1 − 1/counts[c])·c + x/counts[c]. For m rows in a cluster that
  // is (counts[c]·c + Σx) / (counts[c] + m), which is computed in float64 and rounded once to
  // float32. Only centroids that got rows change. Leaves Assign's state alone.
  //
  // counts: one per centroid, of the rows seen so far; updated. Returns the inertia of the rows to
  // the centroids before the step. Errors: as Assign.
  double MiniBatch(RowRange range, Centroids* centroids, std::span<int64_t> counts);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::model
