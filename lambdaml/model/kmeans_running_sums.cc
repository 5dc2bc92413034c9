#include "lambdaml/model/kmeans_running_sums.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace lambdaml::model::kmeans {
namespace {

constexpr int64_t kSetsBytes = 64 << 20;
constexpr size_t kBlockNumbers = 1 << 18;

std::span<const float> ValuesOf(const data::Dataset& dataset) {
  return std::visit([](const auto& rows) { return rows.values; }, dataset.features);
}

// Adds the squares of float32 numbers, which float64 holds exactly.
PreciseSum<double> SquaresOf(std::span<const float> values) {
  PreciseSum<Doubles> lanes;
  const auto size = static_cast<int64_t>(values.size());
  for (int64_t i = 0; i < size; i += kDoubles) {
    const Doubles x = LoadDoubles(values.data() + i, size - i);
    lanes.Add(x * x);
  }
  return Total(lanes);
}

// The leading 26 digits of each: times a float32 number that is exact, and so is the rest.
Doubles Leading(Doubles values) {
  using Bits = uint64_t __attribute__((vector_size(32)));
  constexpr uint64_t kTrailing = (uint64_t{1} << 27) - 1;
  return reinterpret_cast<Doubles>(reinterpret_cast<Bits>(values) & ~kTrailing);
}

// Σ_j c_j · S_j of a row of sums in two parts.
PreciseSum<double> ProductOf(const float* c, const double* parts, int64_t n_features) {
  static_assert(kPartsColumns == kDoubles);
  PreciseSum<Doubles> lanes;
  for (int64_t j = 0; j < n_features; j += kDoubles) {
    const Doubles value = LoadDoubles(c + j, n_features - j);
    const Doubles high = LoadDoubles(parts + 2 * j);
    const Doubles leading = Leading(high);
    lanes.Add(value * leading);
    lanes.Add(value * (high - leading));
    lanes.Add(value * LoadDoubles(parts + 2 * j + kDoubles));
  }
  return Total(lanes);
}

}  // namespace

bool RunningSums::Fit(const data::Dataset& dataset, int64_t k) {
  if (dataset.is_dense()) return true;
  const auto sums_bytes = 16.0 * static_cast<double>(k) * static_cast<double>(dataset.n_features());
  const int64_t rows_bytes = 8 * dataset.sparse().nonzeros();
  return sums_bytes <= static_cast<double>(std::max(kSetsBytes, rows_bytes / 2));
}

RunningSums::RunningSums(const data::Dataset& dataset, const SumGrid& grid, base::ThreadPool& pool)
    : dataset_(dataset), grid_(grid), pool_(pool), row_size_(PartsSize(dataset.n_features())) {
  const std::span<const float> values = ValuesOf(dataset);
  const size_t blocks = (values.size() + kBlockNumbers - 1) / kBlockNumbers;
  std::vector<PreciseSum<double>> squares(blocks);
  pool.ForEachBlock(blocks, [&](size_t b) {
    const size_t begin = b * kBlockNumbers;
    squares[b] = SquaresOf(values.subspan(begin, std::min(kBlockNumbers, values.size() - begin)));
  });
  for (const PreciseSum<double>& block : squares) squares_.Add(block);
}

void RunningSums::Reset(int64_t k, size_t lane_count) {
  k_ = k;
  const int64_t set_bytes = std::max<int64_t>(1, k * row_size_ * int64_t{sizeof(double)});
  const auto rows_bytes = static_cast<int64_t>(ValuesOf(dataset_).size() * sizeof(float));
  const int64_t budget = std::max(kSetsBytes, rows_bytes);
  const auto count = std::clamp<int64_t>(budget / set_bytes, 1, static_cast<int64_t>(lane_count));
  sets_.clear();
  for (int64_t s = 0; s < count; ++s) {
    auto set = std::make_unique<Set>();
    set->parts = MakeAligned<double>(parts_size());
    set->counts.assign(static_cast<size_t>(k), 0);
    sets_.push_back(std::move(set));
  }
}

void RunningSums::OnMoved(size_t lane, std::span<const int64_t> rows,
                          std::span<const int32_t> from) {
  Set& set = *sets_[lane % sets_.size()];
  const std::lock_guard lock(set.mutex);
  set.used = true;
  const auto move = [&](const auto& row, int32_t from_cluster, int32_t to_cluster) {
    double* const to = set.parts.get() + to_cluster * row_size_;
    ++set.counts[static_cast<size_t>(to_cluster)];
    if (from_cluster < 0) return grid_.Add(row, 1, to);
    --set.counts[static_cast<size_t>(from_cluster)];
    grid_.Move(row, set.parts.get() + from_cluster * row_size_, to);
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    const int32_t to = assignments_[static_cast<size_t>(rows[i])];
    if (dataset_.is_dense()) {
      move(dataset_.dense().row(rows[i]), from[i], to);
    } else {
      move(SparseRowOf(dataset_.sparse(), rows[i]), from[i], to);
    }
  }
}

// Brings all sets together in the first.
void RunningSums::Merge() {
  std::vector<Set*> others;
  for (const auto& set : std::span(sets_).subspan(1)) {
    if (std::exchange(set->used, false)) others.push_back(set.get());
  }
  if (others.empty()) return;
  Set& first = *sets_[0];
  pool_.ForEachBlock(static_cast<size_t>(k_), [&](size_t c) {
    const auto row_size = static_cast<size_t>(row_size_);
    double* const to = first.parts.get() + c * row_size;
    for (Set* const set : others) {
      double* const parts = set->parts.get() + c * row_size;
      for (size_t i = 0; i < row_size; ++i) to[i] += std::exchange(parts[i], 0.0);
      first.counts[c] += std::exchange(set->counts[c], 0);
    }
  });
}

void RunningSums::Write(std::span<double> sums, std::span<int64_t> counts) {
  Merge();
  const Set& set = *sets_[0];
  if (!counts.empty()) std::ranges::copy(set.counts, counts.begin());
  if (sums.empty()) return;
  const auto n_features = static_cast<size_t>(dataset_.n_features());
  pool_.ForEachBlock(static_cast<size_t>(k_), [&](size_t c) {
    const double* const parts = set.parts.get() + c * static_cast<size_t>(row_size_);
    double* const to = sums.data() + c * n_features;
    for (size_t j = 0; j < n_features; ++j) to[j] = SumAt(parts, j);
  });
}

double RunningSums::Inertia(const Centroids& centroids) {
  Merge();
  const Set& set = *sets_[0];
  const auto n_features = static_cast<size_t>(dataset_.n_features());
  struct Terms {
    PreciseSum<double> product;
    PreciseSum<double> norm;
  };
  std::vector<Terms> terms(static_cast<size_t>(k_));
  pool_.ForEachBlock(terms.size(), [&](size_t c) {
    if (set.counts[c] == 0) return;
    const float* const centroid = centroids.row(static_cast<int64_t>(c));
    terms[c] = {.product = ProductOf(centroid, set.parts.get() + c * static_cast<size_t>(row_size_),
                                     static_cast<int64_t>(n_features)),
                .norm = SquaresOf({centroid, n_features})};
  });
  PreciseSum<double> inertia = squares_;
  for (size_t c = 0; c < terms.size(); ++c) {
    const auto rows = static_cast<double>(set.counts[c]);
    if (rows == 0) continue;
    const auto& [product, norm] = terms[c];
    inertia.Add({-2 * product.sum, -2 * product.error});
    const double scaled = norm.sum * rows;
    inertia.Add({scaled, std::fma(norm.sum, rows, -scaled) + norm.error * rows});
  }
  // What is below the rounding of twice the precision is none.
  constexpr double kResolution = 0x1p-90;
  const double total = inertia.sum + inertia.error;
  return total > kResolution * squares_.sum ? total : 0.0;
}

}  // namespace lambdaml::model::kmeans
