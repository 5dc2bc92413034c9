#include "lambdaml/model/kmeans_scanner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "lambdaml/model/kmeans_distance.h"
#include "lambdaml/model/kmeans_rounding.h"
#include "lambdaml/model/simd.h"

namespace lambdaml::model::kmeans {
namespace {

using simd::Broadcast;
using simd::F8;
using simd::I8;
using simd::kLanes;
using simd::Load;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Products of so much could overflow in float32.
constexpr float kProductMax = 1e36F;

// Packed rows stay in the second cache beside a block of centroids.
constexpr int64_t kBatchBytesGoal = 640 << 10;
constexpr int64_t kDenseBatchRowsMax = 192;
constexpr int64_t kDenseBatchRowsMin = 3 * kLaneRows;
// A panel of a sparse table is read once for so many rows.
constexpr int64_t kSparseBatchRows = 4096;
// Unclear rows that are looked at together.
constexpr size_t kSettleRows = 3 * kLaneRows;

F8 Max0(F8 v) { return v > 0.0F ? v : F8{}; }
F8 Min(F8 a, F8 b) { return a < b ? a : b; }

I8 LoadIndices(const int32_t* from) {
  I8 v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

void Prefetch(const float* row, int64_t n_features) {
  constexpr int64_t kLineNumbers = 64 / sizeof(float);
  for (int64_t j = 0; j < n_features; j += kLineNumbers) __builtin_prefetch(row + j, 0, 2);
  if (n_features > 0) __builtin_prefetch(row + n_features - 1, 0, 2);
}

int LaneBlocks(size_t rows) { return static_cast<int>((rows + kLaneRows - 1) / kLaneRows); }

SparseBatch BatchOf(const data::SparseRows& x, std::span<const int64_t> rows) {
  return {x.row_offsets.data(), x.columns.data(), x.values.data(), rows.data(),
          static_cast<int>(rows.size())};
}

// Parts of a range of at most `unit` centroids.
template <typename Use>
void ForEachUnit(const CentroidRange& range, int64_t unit, const Use& use) {
  CentroidRange part = range;
  for (; part.begin < range.end; part.begin += unit) {
    part.end = std::min(part.begin + unit, range.end);
    use(part);
  }
}

}  // namespace

int64_t BatchRows(const data::Dataset& dataset) {
  if (!dataset.is_dense()) return kSparseBatchRows;
  const int64_t row_bytes = int64_t{sizeof(float)} * std::max<int64_t>(1, dataset.n_features());
  const int64_t rows = kBatchBytesGoal / row_bytes / kDenseBatchRowsMin * kDenseBatchRowsMin;
  return std::clamp(rows, kDenseBatchRowsMin, kDenseBatchRowsMax);
}

RowScanner::RowScanner(const RowSource& source)
    : source_(source), batch_rows_(BatchRows(source.dataset)) {
  const auto rows = static_cast<size_t>(batch_rows_);
  for (AlignedArray<float>* array :
       {&squared_norm_, &error_, &best_, &own_second_, &runner_up_, &group_best_, &group_second_}) {
    *array = MakeAligned<float>(rows);
  }
  index_ = MakeAligned<int32_t>(rows);
  group_index_ = MakeAligned<int32_t>(rows);
  if (!source.dataset.is_dense()) return;
  const size_t size = rows * static_cast<size_t>(source.dataset.n_features());
  packed_ = MakeAligned<float>(size);
  subset_packed_ = MakeAligned<float>(size);
}

void RowScanner::Scan(const CentroidTable& table, const Centroids& centroids,
                      std::span<const int64_t> rows, std::span<const uint64_t> need,
                      std::span<const int64_t> next_rows) {
  table_ = &table;
  centroids_ = &centroids;
  rows_ = rows;
  next_rows_ = next_rows;
  scored_ = 0;
  is_packed_ = false;
  const int groups = table.group_count();
  ComputeErrors();
  std::fill_n(best_.get(), padded(), kInfinity);
  std::fill_n(own_second_.get(), padded(), kInfinity);
  std::fill_n(runner_up_.get(), padded(), kInfinity);
  std::fill_n(index_.get(), padded(), 0);
  scanned_.assign(rows.size(), need.empty() || groups == 1 ? ~uint64_t{0} : 0);
  lower_.resize(static_cast<size_t>(groups * batch_rows_));
  for (int g = 0; g < groups; ++g) {
    const std::span<const int64_t> selected = SelectRows(g, need);
    if (selected.empty()) continue;
    ScanGroup(g, selected);
    if (subset_.empty()) {
      MergeAll(g);
    } else {
      MergeSubset(g);
    }
  }
  clusters_.resize(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) clusters_[i] = table.cluster_at(index_[i]);
  FindUnclear();
  if (!unclear_.empty()) Settle();
}

void RowScanner::ComputeErrors() {
  const data::Dataset& dataset = source_.dataset;
  const int64_t n_features = dataset.n_features();
  const int64_t chains = (n_features + kChainColumns - 1) / kChainColumns;
  const auto dense_chain =
      static_cast<float>(chains == 0 ? 0 : (n_features + chains - 1) / chains + chains);
  constexpr float kProductError = kUnit * 1.001F;
  for (size_t i = 0; i < padded(); ++i) {
    const auto row = static_cast<size_t>(rows_[std::min(i, rows_.size() - 1)]);
    squared_norm_[i] = source_.squared_norms[row];
    float chain = dense_chain;
    if (!dataset.is_dense()) {
      const std::span<const int64_t> offsets = dataset.sparse().row_offsets;
      chain = static_cast<float>(offsets[row + 1] - offsets[row]);
    }
    error_[i] = (chain + 16) * kProductError;
  }
  const float norm_max = table_->norm_max();
  const float underflow = static_cast<float>(n_features + 16) * 0x1p-148F;
  for (size_t i = 0; i < padded(); i += kLanes) {
    const F8 square = Load(squared_norm_.get() + i);
    const F8 product = simd::Sqrt(square) * norm_max;
    const F8 squares = square + norm_max * norm_max;
    const F8 error = Load(error_.get() + i) * product + (4 * kUnit) * squares + underflow;
    const I8 is_safe = product + squares < kProductMax;
    simd::Store(error_.get() + i, is_safe ? error : Broadcast(kInfinity));
  }
}

// The rows that need group g, or all if most do: they are packed already. Sets subset_.
std::span<const int64_t> RowScanner::SelectRows(int g, std::span<const uint64_t> need) {
  subset_.clear();
  if (need.empty() || table_->group_count() == 1) return rows_;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if ((need[i] >> g & 1) != 0) subset_.push_back(i);
  }
  if (subset_.empty()) return {};
  const bool take_all = source_.dataset.is_dense() ? 4 * subset_.size() >= 3 * rows_.size()
                                                   : subset_.size() == rows_.size();
  if (take_all) {
    subset_.clear();
    for (uint64_t& bits : scanned_) bits |= uint64_t{1} << g;
    return rows_;
  }
  subset_rows_.clear();
  for (const size_t i : subset_) {
    scanned_[i] |= uint64_t{1} << g;
    subset_rows_.push_back(rows_[i]);
  }
  return subset_rows_;
}

void RowScanner::Pack(std::span<const int64_t> rows, std::span<const int64_t> next, float* to) {
  const data::DenseRows& x = source_.dataset.dense();
  pointers_.clear();
  for (const int64_t r : rows) pointers_.push_back(x.row(r));
  for (size_t first = 0; first < rows.size(); first += kLaneRows) {
    // Memory brings the next batch while this one is packed and scored.
    for (size_t i = first; i < std::min(first + kLaneRows, next.size()); ++i) {
      Prefetch(x.row(next[i]), x.n_features);
    }
    const auto count = static_cast<int>(std::min<size_t>(kLaneRows, rows.size() - first));
    source_.kernels.pack_rows(pointers_.data() + first, count, x.n_features, source_.shift.data(),
                              to + static_cast<int64_t>(first) * x.n_features);
  }
}

void RowScanner::ScanGroup(int g, std::span<const int64_t> selected) {
  const CentroidRange range = table_->group(g);
  const Smallest smallest{group_best_.get(), group_second_.get(), group_index_.get()};
  const size_t count = static_cast<size_t>(LaneBlocks(selected.size())) * kLaneRows;
  std::fill_n(group_best_.get(), count, kInfinity);
  std::fill_n(group_second_.get(), count, kInfinity);
  std::fill_n(group_index_.get(), count, 0);
  scored_ += static_cast<int64_t>(selected.size()) * (range.end - range.begin);
  if (!source_.dataset.is_dense()) {
    const SparseBatch batch = BatchOf(source_.dataset.sparse(), selected);
    ForEachUnit(range, kPanelCentroids, [&](const CentroidRange& panel) {
      source_.kernels.scan_sparse(batch, panel, smallest);
    });
    return;
  }
  const bool all = subset_.empty();
  float* const packed = all ? packed_.get() : subset_packed_.get();
  if (!all || !is_packed_) Pack(selected, all ? next_rows_ : std::span<const int64_t>{}, packed);
  is_packed_ = is_packed_ || all;
  source_.kernels.scan_dense(packed, LaneBlocks(selected.size()), range, smallest);
}

// The batch's smallest scores from those of group g, which were computed for all rows.
void RowScanner::MergeAll(int g) {
  float* const lower = lower_.data() + g * batch_rows_;
  for (size_t i = 0; i < padded(); i += kLanes) {
    const F8 best = Load(best_.get() + i);
    const F8 group_best = Load(group_best_.get() + i);
    const F8 second = Load(group_second_.get() + i);
    const I8 wins = group_best < best;
    const F8 contender = wins ? Min(second, best) : group_best;
    simd::Store(runner_up_.get() + i, Min(contender, Load(runner_up_.get() + i)));
    simd::Store(own_second_.get() + i, wins ? second : Load(own_second_.get() + i));
    simd::Store(best_.get() + i, wins ? group_best : best);
    const I8 index = wins ? LoadIndices(group_index_.get() + i) : LoadIndices(index_.get() + i);
    std::memcpy(index_.get() + i, &index, sizeof index);
    simd::Store(lower + i, group_best);
  }
}

void RowScanner::MergeSubset(int g) {
  float* const lower = lower_.data() + g * batch_rows_;
  for (size_t s = 0; s < subset_.size(); ++s) {
    const size_t i = subset_[s];
    const float group_best = group_best_[s];
    lower[i] = group_best;
    if (group_best < best_[i]) {
      runner_up_[i] = std::min({runner_up_[i], best_[i], group_second_[s]});
      own_second_[i] = group_second_[s];
      best_[i] = group_best;
      index_[i] = group_index_[s];
    } else {
      runner_up_[i] = std::min(runner_up_[i], group_best);
    }
  }
}

void RowScanner::FindUnclear() {
  unclear_.clear();
  for (size_t i = 0; i < rows_.size(); i += kLanes) {
    const F8 gap = Load(runner_up_.get() + i) - Load(best_.get() + i);
    const F8 error = Load(error_.get() + i);
    const I8 is_clear = (gap > 2 * error) & (error < kInfinity);
    uint32_t unclear = ~simd::Bits(is_clear) & 0xFFU;
    for (; unclear != 0; unclear &= unclear - 1) {
      const size_t at = i + static_cast<size_t>(__builtin_ctz(unclear));
      if (at >= rows_.size()) break;
      unclear_.push_back({.at = at});
    }
  }
}

void RowScanner::Settle() {
  const std::span<Unclear> all(unclear_);
  for (size_t begin = 0; begin < all.size(); begin += kSettleRows) {
    SettleSome(all.subspan(begin, std::min(kSettleRows, all.size() - begin)));
  }
  for (const Unclear& unclear : unclear_) clusters_[unclear.at] = unclear.cluster;
}

// The score of a sparse row in float64: much cheaper than D, which takes all columns.
double RowScanner::PreciseScore(int64_t row, int32_t cluster) const {
  const SparseRow x = SparseRowOf(source_.dataset.sparse(), row);
  const float* const c = centroids_->row(cluster);
  double product = 0;
  for (size_t i = 0; i < x.columns.size(); ++i) {
    product += static_cast<double>(x.values[i]) * static_cast<double>(c[x.columns[i]]);
  }
  return table_->squared_norm(cluster) / 2 - product;
}

// If two precise scores differ by more, so do their D as computed, in the same direction: covers
// the roundings of both scores (chains of at most n_features and its non-zeros) and of both D.
double RowScanner::PreciseError(int64_t row) const {
  const auto norm_max = static_cast<double>(table_->norm_max());
  const auto norm = static_cast<double>(source_.squared_norms[static_cast<size_t>(row)]);
  const auto chain = static_cast<double>(2 * centroids_->n_features + 32);
  return 4 * 0x1p-53 * chain * (norm + norm_max * norm_max);
}

// Keeps the nearer of the two, of equally near ones the lower number.
void RowScanner::Offer(int32_t cluster, Unclear* unclear) const {
  const int64_t row = rows_[unclear->at];
  const auto distance_to = [&](int32_t c) {
    return SquaredDistance(source_.dataset, row, centroids_->row(c));
  };
  double score = 0;
  const bool has_score = !source_.dataset.is_dense() && error_[unclear->at] < kInfinity;
  if (has_score) {
    score = PreciseScore(row, cluster);
    const double error = PreciseError(row);
    if (unclear->cluster < 0 || score < unclear->score - error) {
      *unclear = {unclear->at, cluster, score, -1};
      return;
    }
    if (score > unclear->score + error) return;
  }
  const double squared = distance_to(cluster);
  if (unclear->cluster >= 0) {
    if (unclear->squared_distance < 0) unclear->squared_distance = distance_to(unclear->cluster);
    const bool is_nearer = squared != unclear->squared_distance
                               ? squared < unclear->squared_distance
                               : cluster < unclear->cluster;
    if (!is_nearer) return;
  }
  *unclear = {unclear->at, cluster, score, squared};
}

void RowScanner::SettleSome(std::span<Unclear> unclear) {
  thresholds_.assign(kSettleRows, -kInfinity);
  subset_rows_.clear();
  uint64_t groups = 0;
  for (size_t i = 0; i < unclear.size(); ++i) {
    const size_t at = unclear[i].at;
    subset_rows_.push_back(rows_[at]);
    if (error_[at] == kInfinity) {
      for (int32_t c = 0; c < centroids_->k; ++c) Offer(c, &unclear[i]);
      continue;
    }
    thresholds_[i] = best_[at] + 2 * error_[at];
    groups |= scanned_[at];
  }
  if (groups == 0) return;
  if (source_.dataset.is_dense()) Pack(subset_rows_, {}, subset_packed_.get());
  for (int g = 0; g < table_->group_count(); ++g) {
    if ((groups >> g & 1) != 0) Collect(table_->group(g), unclear);
  }
}

// Offers the centroids of a range that are within the thresholds.
void RowScanner::Collect(const CentroidRange& range, std::span<Unclear> unclear) {
  hits_.resize(kSettleRows * kPanelCentroids);
  const bool dense = source_.dataset.is_dense();
  ForEachUnit(range, dense ? kBlockCentroids : kPanelCentroids, [&](const CentroidRange& unit) {
    Hits hits{hits_.data(), 0};
    if (dense) {
      source_.kernels.collect_dense(subset_packed_.get(), LaneBlocks(unclear.size()), unit,
                                    thresholds_.data(), &hits);
    } else {
      source_.kernels.collect_sparse(BatchOf(source_.dataset.sparse(), subset_rows_), unit,
                                     thresholds_.data(), &hits);
    }
    for (int64_t h = 0; h < hits.count; ++h) {
      const Hit& hit = hits_[static_cast<size_t>(h)];
      Offer(table_->cluster_at(hit.index), &unclear[static_cast<size_t>(hit.row)]);
    }
  });
}

void RowScanner::ComputeBounds() {
  const int groups = table_->group_count();
  const auto bound = [&](const float* score, size_t i) {
    const F8 square =
        Load(squared_norm_.get() + i) + 2 * (Load(score + i) - Load(error_.get() + i));
    return simd::Sqrt(Max0(square)) * kBelow;
  };
  for (size_t i = 0; i < padded(); i += kLanes) {
    for (int g = 0; g < groups; ++g) {
      float* const lower = lower_.data() + g * batch_rows_;
      simd::Store(lower + i, bound(lower, i));
    }
    simd::Store(own_second_.get() + i, bound(own_second_.get(), i));
    const F8 square =
        Load(squared_norm_.get() + i) + 2 * (Load(best_.get() + i) + Load(error_.get() + i));
    simd::Store(best_.get() + i, simd::Sqrt(Max0(square)) * kAbove);
  }
  if (groups == 1) {
    std::copy_n(own_second_.get(), padded(), lower_.data());
  } else {
    for (size_t i = 0; i < rows_.size(); ++i) {
      const int g = table_->group_at(index_[i]);
      lower_[static_cast<size_t>(g * batch_rows_) + i] = own_second_[i];
    }
  }
  for (const Unclear& unclear : unclear_) {
    const size_t i = unclear.at;
    if (unclear.squared_distance >= 0) best_[i] = FloatAbove(std::sqrt(unclear.squared_distance));
    if (table_->cluster_at(index_[i]) == unclear.cluster) continue;
    if (unclear.squared_distance < 0) best_[i] = kInfinity;
    // Another than the smallest score's: which centroid of its group is next was not kept, and the
    // smallest one's group has that one next.
    lower_[static_cast<size_t>(table_->group_of(unclear.cluster) * batch_rows_) + i] = 0;
    lower_[static_cast<size_t>(table_->group_at(index_[i]) * batch_rows_) + i] = 0;
  }
}

}  // namespace lambdaml::model::kmeans
