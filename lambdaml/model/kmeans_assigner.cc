#include "lambdaml/model/kmeans_assigner.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <numeric>

#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::model::kmeans {
namespace {

// Rows that a thread takes at a time, a multiple of kLaneRows: few enough to share them out,
// several batches if they are small, and of sparse rows enough for a panel of the table to be worth
// reading.
int64_t BlockRows(const data::Dataset& dataset) {
  if (!dataset.is_dense()) return BatchRows(dataset);
  constexpr int64_t kBytesGoal = 512 << 10;
  constexpr int64_t kRowsMin = 960;
  constexpr int64_t kRowsMax = 3840;
  const int64_t row_bytes = int64_t{sizeof(float)} * std::max<int64_t>(1, dataset.n_features());
  return std::clamp(kBytesGoal / row_bytes / kLaneRows * kLaneRows, kRowsMin, kRowsMax);
}

// The mean of some dense rows: far from the origin its removal saves digits.
std::vector<float> ShiftOf(const data::Dataset& dataset) {
  if (!dataset.is_dense()) return {};
  constexpr int64_t kSampleRows = 1024;
  const data::DenseRows& x = dataset.dense();
  std::vector<double> sum(static_cast<size_t>(x.n_features));
  const int64_t stride = std::max<int64_t>(1, x.rows / kSampleRows);
  int64_t count = 0;
  for (int64_t r = 0; r < x.rows; r += stride, ++count) {
    for (size_t j = 0; j < sum.size(); ++j) sum[j] += static_cast<double>(x.row(r)[j]);
  }
  std::vector<float> shift(sum.size());
  for (size_t j = 0; j < sum.size() && count > 0; ++j) {
    shift[j] = static_cast<float>(sum[j] / static_cast<double>(count));
  }
  return shift;
}

}  // namespace

struct Assigner::Lane {
  explicit Lane(const RowSource& source) : scanner(source) {}

  RowScanner scanner;
  ActiveRows active;
  std::vector<int64_t> moved_rows;
  std::vector<int32_t> moved_from;
  int64_t scored = 0;
};

struct Assigner::Step {
  const Centroids& centroids;
  const CentroidTable& table;
  std::span<int32_t> assignments;  // of the rows from first_row on
  int64_t first_row;
  MoveListener* listener;
  bool use_bounds;
  bool save_bounds;
};

Assigner::Assigner(const data::Dataset& dataset, base::ThreadPool& pool, Pruning prune,
                   const Kernels& kernels)
    : dataset_(dataset),
      pool_(pool),
      prune_(prune),
      shift_(ShiftOf(dataset)),
      squared_norms_(static_cast<size_t>(dataset.rows())),
      source_{dataset, shift_, squared_norms_, kernels},
      table_(dataset.n_features(), dataset.is_dense() ? kBlockCentroids : kPanelCentroids, shift_) {
  for (int lane = 0; lane < pool.thread_count(); ++lane) {
    lanes_.push_back(std::make_unique<Lane>(source_));
  }
  MeasureRows();
}

Assigner::~Assigner() = default;

void Assigner::MeasureRows() {
  constexpr int64_t kBlockRows = 1024;
  constexpr auto kMax = static_cast<double>(std::numeric_limits<float>::max());
  const int64_t rows = dataset_.rows();
  pool_.ForEachBlock(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows), [&](size_t b) {
    const int64_t begin = static_cast<int64_t>(b) * kBlockRows;
    for (int64_t r = begin; r < std::min(begin + kBlockRows, rows); ++r) {
      double square = 0;
      if (dataset_.is_dense()) {
        square = SquaredDistance(dataset_, r, shift_.data());
      } else {
        for (const float value : SparseRowOf(dataset_.sparse(), r).values) {
          square += static_cast<double>(value) * static_cast<double>(value);
        }
      }
      squared_norms_[static_cast<size_t>(r)] = static_cast<float>(std::min(square, kMax));
    }
  });
}

void Assigner::Assign(const Centroids& centroids, std::span<int32_t> assignments,
                      MoveListener* listener) {
  const bool use_bounds = has_bounds_ && centroids.k == table_.k();
  has_bounds_ = false;  // should this throw
  const bool keep_bounds = prune_ == Pruning::kAlways ||
                           (prune_ == Pruning::kIfItPays && RowBounds::Pay(dataset_, centroids.k));
  const int groups_max = keep_bounds ? RowBounds::GroupsMax(dataset_, centroids.k) : 1;
  table_.Set(centroids, groups_max, !use_bounds, pool_);
  if (keep_bounds) bounds_.Resize(dataset_.rows(), table_.group_count());
  RunBlocks({centroids, table_, assignments, 0, listener, use_bounds, keep_bounds},
            {0, dataset_.rows()});
  has_bounds_ = keep_bounds;
  int64_t scored = 0;
  for (const auto& lane : lanes_) scored += lane->scored;
  const int64_t pairs = std::max<int64_t>(1, dataset_.rows()) * centroids.k;
  scored_share_ = static_cast<double>(scored) / static_cast<double>(pairs);
}

void Assigner::AssignRange(RowRange range, const Centroids& centroids,
                           std::span<int32_t> assignments) {
  CentroidTable table(dataset_.n_features(), table_.unit(), shift_);
  table.Set(centroids, 1, true, pool_);
  RunBlocks({centroids, table, assignments, range.begin, nullptr, false, false}, range);
}

void Assigner::RunBlocks(const Step& step, RowRange range) {
  const int64_t block_rows = BlockRows(dataset_);
  std::atomic<int64_t> next{range.begin};
  for (const auto& lane : lanes_) lane->scored = 0;
  pool_.ForEachBlock(lane_count(), [&](size_t lane) {
    for (;;) {
      const int64_t begin = next.fetch_add(block_rows, std::memory_order_relaxed);
      if (begin >= range.end) return;
      RunBlock(step, {begin, std::min(begin + block_rows, range.end)}, lane);
    }
  });
}

void Assigner::RunBlock(const Step& step, RowRange block, size_t lane_number) {
  Lane& lane = *lanes_[lane_number];
  lane.active.rows.clear();
  lane.active.need.clear();
  lane.moved_rows.clear();
  lane.moved_from.clear();
  if (step.use_bounds) {
    bounds_.FindActive(source_, step.table, step.centroids, step.assignments, block, &lane.active);
  } else {
    lane.active.rows.resize(static_cast<size_t>(block.size()));
    std::iota(lane.active.rows.begin(), lane.active.rows.end(), block.begin);
  }
  const std::span<const int64_t> all_rows = lane.active.rows;
  const std::span<const uint64_t> all_need = lane.active.need;
  const auto batch_rows = static_cast<size_t>(BatchRows(dataset_));
  for (size_t begin = 0; begin < all_rows.size(); begin += batch_rows) {
    const size_t count = std::min(batch_rows, all_rows.size() - begin);
    const std::span<const int64_t> rows = all_rows.subspan(begin, count);
    const std::span<const int64_t> later = all_rows.subspan(begin + count);
    lane.scanner.Scan(step.table, step.centroids, rows,
                      all_need.empty() ? all_need : all_need.subspan(begin, count),
                      later.first(std::min(batch_rows, later.size())));
    lane.scored += lane.scanner.scored();
    const std::span<const int32_t> clusters = lane.scanner.clusters();
    for (size_t i = 0; i < count; ++i) {
      int32_t& assignment = step.assignments[static_cast<size_t>(rows[i] - step.first_row)];
      if (assignment == clusters[i]) continue;
      lane.moved_rows.push_back(rows[i]);
      lane.moved_from.push_back(assignment);
      assignment = clusters[i];
    }
    if (!step.save_bounds) continue;
    lane.scanner.ComputeBounds();
    bounds_.Save(rows, lane.scanner);
  }
  if (step.listener == nullptr || lane.moved_rows.empty()) return;
  step.listener->OnMoved(lane_number, lane.moved_rows, lane.moved_from);
}

}  // namespace lambdaml::model::kmeans
