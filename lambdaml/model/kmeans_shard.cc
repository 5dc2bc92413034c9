#include "lambdaml/model/kmeans_shard.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/model/kmeans_assigner.h"
#include "lambdaml/model/kmeans_exact_sums.h"
#include "lambdaml/model/kmeans_fresh_sums.h"
#include "lambdaml/model/kmeans_kernels.h"
#include "lambdaml/model/kmeans_running_sums.h"

namespace lambdaml::model {
namespace {

constexpr int64_t kBlockRows = 1024;

const kmeans::Kernels& KernelsOf(const KMeansShard::Options& options) {
  return options.best_kernels ? kmeans::BestKernels() : kmeans::BaselineKernels();
}

kmeans::Pruning PruningOf(const KMeansShard::Options& options) {
  if (options.prune_always) return kmeans::Pruning::kAlways;
  return options.prune ? kmeans::Pruning::kIfItPays : kmeans::Pruning::kNever;
}

// Counts the rows that move, and tells the sums.
class MoveCounter : public kmeans::MoveListener {
 public:
  MoveCounter(kmeans::RunningSums* sums, size_t lane_count) : sums_(sums), counts_(lane_count) {}

  void OnMoved(size_t lane, std::span<const int64_t> rows, std::span<const int32_t> from) override {
    counts_[lane] += static_cast<int64_t>(rows.size());
    if (sums_ != nullptr) sums_->OnMoved(lane, rows, from);
  }
  int64_t total() const {
    int64_t total = 0;
    for (const int64_t count : counts_) total += count;
    return total;
  }

 private:
  kmeans::RunningSums* sums_;
  std::vector<int64_t> counts_;
};

bool Farther(const FarRow& a, const FarRow& b) {
  return a.squared_distance != b.squared_distance ? a.squared_distance > b.squared_distance
                                                  : a.row < b.row;
}

}  // namespace

struct KMeansShard::State {
  State(data::Dataset dataset_in, base::ThreadPool& pool_in, const Options& options)
      : dataset(std::move(dataset_in)),
        pool(pool_in),
        assigner(dataset, pool, PruningOf(options), KernelsOf(options)),
        grid(kmeans::ColumnMaxima(dataset, pool), dataset.rows()),
        running_sums(dataset, grid, pool) {}

  // Forgets all assignments.
  void Reset(int64_t new_k) {
    k = new_k;
    assignments.assign(static_cast<size_t>(dataset.rows()), -1);
    keeps_sums = kmeans::RunningSums::Fit(dataset, k);
    running_sums.Reset(keeps_sums ? k : 0, assigner.lane_count());
  }

  data::Dataset dataset;
  base::ThreadPool& pool;
  kmeans::Assigner assigner;
  kmeans::SumGrid grid;
  kmeans::RunningSums running_sums;
  bool keeps_sums = false;  // else they are computed anew in each step
  int64_t k = 0;            // of the last step
  std::vector<int32_t> assignments;
};

KMeansShard::KMeansShard(data::Dataset dataset, base::ThreadPool& pool, const Options& options)
    : state_(std::make_unique<State>(std::move(dataset), pool, options)) {}

KMeansShard::KMeansShard(data::Dataset dataset, base::ThreadPool& pool)
    : KMeansShard(std::move(dataset), pool, Options{}) {}

KMeansShard::~KMeansShard() = default;

int64_t KMeansShard::rows() const { return state_->dataset.rows(); }
int64_t KMeansShard::n_features() const { return state_->dataset.n_features(); }
std::span<const int32_t> KMeansShard::assignments() const { return state_->assignments; }
double KMeansShard::scored_share() const { return state_->assigner.scored_share(); }

AssignStats KMeansShard::Assign(const Centroids& centroids, std::span<double> sums,
                                std::span<int64_t> counts) {
  State& state = *state_;
  CheckShape(centroids, "centroids");
  LAMBDAML_CHECK(sums.empty() || sums.size() == centroids.values.size());
  LAMBDAML_CHECK(counts.empty() || static_cast<int64_t>(counts.size()) == centroids.k);
  if (state.k != centroids.k) state.Reset(centroids.k);
  kmeans::RunningSums* const running = state.keeps_sums ? &state.running_sums : nullptr;
  if (running != nullptr) running->set_assignments(state.assignments);
  MoveCounter moved(running, state.assigner.lane_count());
  state.assigner.Assign(centroids, state.assignments, &moved);
  AssignStats stats;
  stats.changed_rows = moved.total();
  if (running != nullptr) {
    running->Write(sums, counts);
    stats.inertia = running->Inertia(centroids);
  } else {
    stats.inertia = SumClusters(state.dataset.sparse(), state.assignments, centroids, state.grid,
                                state.pool, sums, counts);
  }
  return stats;
}

void KMeansShard::Distances(const Centroids& centroids, std::span<double> squared) const {
  const State& state = *state_;
  LAMBDAML_CHECK(static_cast<int64_t>(squared.size()) == rows() && centroids.k == state.k);
  state.pool.ForEachBlock((squared.size() + kBlockRows - 1) / kBlockRows, [&](size_t b) {
    const size_t end = std::min((b + 1) * kBlockRows, squared.size());
    for (size_t r = b * kBlockRows; r < end; ++r) {
      squared[r] = SquaredDistance(state.dataset, static_cast<int64_t>(r),
                                   centroids.row(state.assignments[r]));
    }
  });
}

std::vector<FarRow> KMeansShard::FarthestRows(const Centroids& centroids, int64_t count) const {
  const State& state = *state_;
  LAMBDAML_CHECK(count >= 0 && centroids.k == state.k);
  const auto keep = static_cast<size_t>(std::min(count, rows()));
  const auto blocks = static_cast<size_t>((rows() + kBlockRows - 1) / kBlockRows);
  std::vector<FarRow> farthest;
  std::mutex mutex;
  state.pool.ForEachBlock(blocks, [&](size_t b) {
    const int64_t begin = static_cast<int64_t>(b) * kBlockRows;
    std::vector<FarRow> found;
    for (int64_t r = begin; r < std::min(begin + kBlockRows, rows()); ++r) {
      const int32_t cluster = state.assignments[static_cast<size_t>(r)];
      found.push_back({r, SquaredDistance(state.dataset, r, centroids.row(cluster))});
    }
    const std::lock_guard lock(mutex);
    farthest.insert(farthest.end(), found.begin(), found.end());
    const size_t kept = std::min(keep, farthest.size());
    std::partial_sort(farthest.begin(), farthest.begin() + static_cast<ptrdiff_t>(kept),
                      farthest.end(), Farther);
    farthest.resize(kept);
  });
  return farthest;
}

double KMeansShard::MiniBatch(RowRange range, Centroids* centroids, std::span<int64_t> counts) {
  State& state = *state_;
  CheckShape(*centroids, "centroids");
  LAMBDAML_CHECK(range.begin >= 0 && range.begin <= range.end && range.end <= rows());
  LAMBDAML_CHECK(static_cast<int64_t>(counts.size()) == centroids->k);
  std::vector<int32_t> assignments(static_cast<size_t>(range.size()));
  state.assigner.AssignRange(range, *centroids, assignments);
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(centroids->k));
  double inertia = 0;
  for (int64_t r = range.begin; r < range.end; ++r) {
    const int32_t c = assignments[static_cast<size_t>(r - range.begin)];
    members[static_cast<size_t>(c)].push_back(r);
    inertia += SquaredDistance(state.dataset, r, centroids->row(c));
  }
  const auto size = static_cast<size_t>(n_features());
  std::vector<double> sums(size);
  for (size_t c = 0; c < members.size(); ++c) {
    if (members[c].empty()) continue;
    std::ranges::fill(sums, 0.0);
    for (const int64_t r : members[c]) {
      if (state.dataset.is_dense()) {
        const float* const x = state.dataset.dense().row(r);
        for (size_t j = 0; j < size; ++j) sums[j] += static_cast<double>(x[j]);
        continue;
      }
      const SparseRow x = SparseRowOf(state.dataset.sparse(), r);
      for (size_t i = 0; i < x.columns.size(); ++i) {
        sums[static_cast<size_t>(x.columns[i])] += static_cast<double>(x.values[i]);
      }
    }
    const auto before = static_cast<double>(counts[c]);
    counts[c] += static_cast<int64_t>(members[c].size());
    const auto after = static_cast<double>(counts[c]);
    float* const centroid = centroids->row(static_cast<int64_t>(c));
    for (size_t j = 0; j < size; ++j) {
      centroid[j] =
          static_cast<float>((before * static_cast<double>(centroid[j]) + sums[j]) / after);
    }
  }
  return inertia;
}

}  // namespace lambdaml::model
