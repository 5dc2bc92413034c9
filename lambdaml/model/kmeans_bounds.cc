#include "lambdaml/model/kmeans_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lambdaml/model/kmeans_distance.h"
#include "lambdaml/model/kmeans_rounding.h"
#include "lambdaml/model/simd.h"

namespace lambdaml::model::kmeans {
namespace {

using simd::F8;
using simd::I8;
using simd::kLanes;
using simd::Load;

constexpr int64_t kRowBytesPerBoundByte = 4;
// Multiply-adds of a row's scores from which on it pays to find that they are not needed.
constexpr int64_t kPayingProducts = 2048;
// Smaller groups cost more to look after than they save.
constexpr int64_t kGroupClustersMin = 40;
// With fewer centroids a row's scores cost no more than finding that they are not needed.
constexpr int64_t kTightenClustersMin = 32;

// At least ‖x − c‖, from float32: every operation's relative error is at most u, no term is
// negative, and a chain has n_features / 8 + 3 of them.
float DenseDistanceAbove(const float* x, const float* c, int64_t n_features) {
  F8 sums[2] = {};
  const auto add = [](F8 difference, F8* sum) {
    *sum = simd::MulAdd(difference, difference, *sum);
  };
  int64_t j = 0;
  for (; j + 2 * kLanes <= n_features; j += 2 * kLanes) {
    add(Load(x + j) - Load(c + j), &sums[0]);
    add(Load(x + j + kLanes) - Load(c + j + kLanes), &sums[1]);
  }
  for (; j < n_features; j += kLanes) {
    const int count = static_cast<int>(std::min<int64_t>(kLanes, n_features - j));
    add(simd::LoadPartial(x + j, count) - simd::LoadPartial(c + j, count), &sums[0]);
  }
  double total = 0;
  for (int i = 0; i < kLanes; ++i) {
    total += static_cast<double>(sums[0][i]) + static_cast<double>(sums[1][i]);
  }
  const double relative =
      (static_cast<double>(n_features) / kLanes + 16) * static_cast<double>(kUnit);
  if (relative > 0.5) return std::numeric_limits<float>::infinity();
  const double underflow = static_cast<double>(n_features) * 0x1p-148;
  return FloatAbove(std::sqrt(total / (1 - relative) + underflow));
}

// At least ‖x − c‖ from the squared norms of both: the row's is rounded to float32, the rest is
// float64's.
float SparseDistanceAbove(const SparseRow& x, double norm, const float* c, double c_norm) {
  double product = 0;
  for (size_t i = 0; i < x.columns.size(); ++i) {
    product += static_cast<double>(x.values[i]) * static_cast<double>(c[x.columns[i]]);
  }
  const double error = 0x1p-23 * norm + 0x1p-40 * (norm + c_norm);
  return FloatAbove(std::sqrt(std::max(0.0, norm - 2 * product + c_norm) + error));
}

float DistanceAbove(const RowSource& source, const CentroidTable& table, const Centroids& centroids,
                    int64_t row, int32_t cluster) {
  const float* const c = centroids.row(cluster);
  if (source.dataset.is_dense()) {
    return DenseDistanceAbove(source.dataset.dense().row(row), c, centroids.n_features);
  }
  const auto norm = static_cast<double>(source.squared_norms[static_cast<size_t>(row)]);
  return SparseDistanceAbove(SparseRowOf(source.dataset.sparse(), row), norm, c,
                             table.squared_norm(cluster));
}

}  // namespace

namespace {

// A row's numbers, on average.
int64_t RowNumbers(const data::Dataset& dataset) {
  if (dataset.is_dense()) return dataset.n_features();
  return dataset.sparse().nonzeros() / std::max<int64_t>(1, dataset.rows());
}

}  // namespace

bool RowBounds::Pay(const data::Dataset& dataset, int64_t k) {
  return k > 1 && RowNumbers(dataset) >= (kPayingProducts + k - 1) / k;
}

int RowBounds::GroupsMax(const data::Dataset& dataset, int64_t k) {
  const int64_t number_bytes = dataset.is_dense() ? 4 : 8;
  const int64_t row_bytes = number_bytes * RowNumbers(dataset);
  const int64_t numbers = row_bytes / kRowBytesPerBoundByte / int64_t{sizeof(float)};
  const int64_t groups = std::min(numbers - 1, k / kGroupClustersMin);
  return static_cast<int>(std::clamp<int64_t>(groups, 1, kGroupsMax));
}

void RowBounds::Resize(int64_t rows, int groups) {
  const int64_t size = (rows + kLaneRows - 1) / kLaneRows * kLaneRows;
  if (size == size_ && groups == groups_) return;
  upper_.reset();
  lower_.reset();
  upper_ = MakeAligned<float>(static_cast<size_t>(size));
  lower_ = MakeAligned<float>(static_cast<size_t>(size * groups));
  size_ = size;
  groups_ = groups;
}

void RowBounds::FindActive(const RowSource& source, const CentroidTable& table,
                           const Centroids& centroids, std::span<const int32_t> assignments,
                           RowRange range, ActiveRows* active) {
  const std::span<const float> moves = table.moves();
  const bool tighten = table.k() >= kTightenClustersMin;
  for (int64_t first = range.begin; first < range.end; first += kLanes) {
    const int64_t count = std::min<int64_t>(kLanes, range.end - first);
    float own_moves[kLanes] = {};
    for (int64_t i = 0; i < count; ++i) {
      const int32_t own = assignments[static_cast<size_t>(first + i)];
      own_moves[i] = moves[static_cast<size_t>(own)];
    }
    const F8 upper = (Load(upper_.get() + first) + Load(own_moves)) * kAbove;
    simd::Store(upper_.get() + first, upper);
    const F8 limit = upper * kAbove;
    float* const lower = lower_of(first);
    I8 need_low = {};
    I8 need_high = {};
    for (int g = 0; g < groups_; ++g) {
      // A negative bound stays one.
      const F8 bound =
          (Load(lower + g * kLaneRows) - table.group_moves()[static_cast<size_t>(g)]) * kBelow;
      simd::Store(lower + g * kLaneRows, bound);
      const I8 is_needed = ~(bound > limit);  // also where a bound is NaN
      const I8 bit = I8{} + static_cast<int32_t>(1U << (g % 32));
      (g < 32 ? need_low : need_high) |= is_needed & bit;
    }
    const I8 any = (need_low | need_high) != 0;
    for (uint32_t bits = simd::Bits(any) & ((1U << count) - 1); bits != 0; bits &= bits - 1) {
      const int i = __builtin_ctz(bits);
      const int64_t row = first + i;
      const int32_t own = assignments[static_cast<size_t>(row)];
      uint64_t need =
          static_cast<uint32_t>(need_low[i]) | uint64_t{static_cast<uint32_t>(need_high[i])} << 32;
      if (tighten && !Tighten(row, DistanceAbove(source, table, centroids, row, own), &need)) {
        continue;
      }
      active->rows.push_back(row);
      // Its own group too, so that its own centroid is among those compared.
      active->need.push_back(need | uint64_t{1} << table.group_of(own));
    }
  }
}

// Takes a better upper bound, and clears the groups that it rules out. Returns whether any are
// left.
bool RowBounds::Tighten(int64_t row, float distance, uint64_t* need) {
  float& upper = upper_[static_cast<size_t>(row)];
  if (!(distance < upper)) return true;
  upper = distance;
  const float limit = distance * kAbove;
  const float* const lower = lower_of(row);
  for (uint64_t bits = *need; bits != 0; bits &= bits - 1) {
    const int g = __builtin_ctzll(bits);
    if (lower[g * kLaneRows] > limit) *need &= ~(uint64_t{1} << g);
  }
  return *need != 0;
}

void RowBounds::Save(std::span<const int64_t> rows, const RowScanner& scanner) {
  const std::span<const float> upper = scanner.upper();
  const std::span<const uint64_t> scanned = scanner.scanned();
  for (size_t i = 0; i < rows.size(); ++i) upper_[static_cast<size_t>(rows[i])] = upper[i];
  for (int g = 0; g < groups_; ++g) {
    const std::span<const float> lower = scanner.lower(g);
    for (size_t i = 0; i < rows.size(); ++i) {
      if ((scanned[i] >> g & 1) != 0) lower_of(rows[i])[g * kLaneRows] = lower[i];
    }
  }
}

}  // namespace lambdaml::model::kmeans
