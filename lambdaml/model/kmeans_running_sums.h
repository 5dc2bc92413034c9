// The sums and counts of the clusters, kept from step to step: only rows that change their cluster
// are read. They are exact (kmeans_exact_sums.h), so they are those of a fresh start.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/kmeans_aligned.h"
#include "lambdaml/model/kmeans_assigner.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/model/kmeans_exact_sums.h"
#include "lambdaml/model/kmeans_rounding.h"

namespace lambdaml::model::kmeans {

// Memory: 16 bytes a coordinate of the centroids, for each thread as long as all together take less
// than the rows or 64 MB.
class RunningSums : public MoveListener {
 public:
  // Whether there is memory for them: always for dense rows, of which the sums of any sensible k
  // are a part; for sparse ones if they take no more than half of what the rows take, or little.
  static bool Fit(const data::Dataset& dataset, int64_t k);

  // The dataset, the grid and the pool must live as long as this.
  RunningSums(const data::Dataset& dataset, const SumGrid& grid, base::ThreadPool& pool);

  // Forgets all rows.
  void Reset(int64_t k, size_t lane_count);

  // `assignments` are those after the step. Threads: any number at once.
  void OnMoved(size_t lane, std::span<const int64_t> rows, std::span<const int32_t> from) override;
  void set_assignments(std::span<const int32_t> assignments) { assignments_ = assignments; }

  // Either may be empty.
  void Write(std::span<double> sums, std::span<int64_t> counts);

  // Σ_r ‖x_r − c(r)‖² = Σ‖x‖² − 2·Σ_c c·S_c + Σ_c n_c·‖c‖², in twice the precision of float64.
  double Inertia(const Centroids& centroids);

 private:
  struct Set {
    std::mutex mutex;
    bool used = false;
    AlignedArray<double> parts;  // k rows of PartsSize()
    std::vector<int64_t> counts;
  };

  size_t parts_size() const { return static_cast<size_t>(k_ * row_size_); }
  void Merge();

  const data::Dataset& dataset_;
  const SumGrid& grid_;
  base::ThreadPool& pool_;
  PreciseSum<double> squares_;  // Σ‖x‖²
  int64_t row_size_;            // PartsSize()
  int64_t k_ = 0;
  std::vector<std::unique_ptr<Set>> sets_;
  std::span<const int32_t> assignments_;
};

}  // namespace lambdaml::model::kmeans
