#include "lambdaml/model/kmeans_table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <numeric>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/model/kmeans_rounding.h"
#include "lambdaml/model/simd.h"

namespace lambdaml::model::kmeans {
namespace {

using simd::F8;
using simd::kLanes;
using D8 = double __attribute__((vector_size(64)));

constexpr float kInfinity = std::numeric_limits<float>::infinity();

int64_t RoundUp(int64_t a, int64_t multiple) { return (a + multiple - 1) / multiple * multiple; }

// Coordinates of the kernel's unit that begins at a position: a last panel of few is narrow.
int64_t UnitWidth(int unit, int64_t first, int64_t k) {
  return unit == kPanelCentroids && k - first <= unit / 4 ? unit / 4 : unit;
}

// The direction in which the centroids spread most, roughly: a few steps of power iteration from
// the line between two that are far apart.
class Bisector {
 public:
  explicit Bisector(const Centroids& centroids)
      : centroids_(centroids), size_(static_cast<size_t>(centroids.n_features)) {}

  // Sorts clusters by their place along that direction.
  void Sort(std::span<int32_t> clusters) {
    mean_.assign(size_, 0.0);
    for (const int32_t c : clusters) {
      for (size_t j = 0; j < size_; ++j) mean_[j] += Coordinate(c, j);
    }
    for (double& value : mean_) value /= static_cast<double>(clusters.size());
    direction_.assign(size_, 0.0);
    SetDirection(Farthest(clusters));
    constexpr int kSteps = 3;
    places_.resize(static_cast<size_t>(centroids_.k));
    for (int step = 0; step < kSteps; ++step) {
      std::vector<double> next(size_, 0.0);
      for (const int32_t c : clusters) {
        const double place = Place(c);
        for (size_t j = 0; j < size_; ++j) next[j] += place * (Coordinate(c, j) - mean_[j]);
      }
      double norm = 0;
      for (const double value : next) norm += value * value;
      // Huge coordinates overflow; any direction will do then.
      if (!(norm > 0) || !std::isfinite(norm)) break;
      for (size_t j = 0; j < size_; ++j) direction_[j] = next[j] / std::sqrt(norm);
    }
    for (const int32_t c : clusters) places_[static_cast<size_t>(c)] = Place(c);
    std::ranges::sort(clusters, [&](int32_t a, int32_t b) {
      const double at_a = places_[static_cast<size_t>(a)];
      const double at_b = places_[static_cast<size_t>(b)];
      return at_a != at_b ? at_a < at_b : a < b;
    });
  }

 private:
  double Coordinate(int32_t c, size_t j) const { return static_cast<double>(centroids_.row(c)[j]); }
  double Place(int32_t c) const {
    double place = 0;
    for (size_t j = 0; j < size_; ++j) place += (Coordinate(c, j) - mean_[j]) * direction_[j];
    return place;
  }
  int32_t Farthest(std::span<const int32_t> clusters) const {
    int32_t farthest = clusters[0];
    double distance_max = -1;
    for (const int32_t c : clusters) {
      double distance = 0;
      for (size_t j = 0; j < size_; ++j) {
        const double difference = Coordinate(c, j) - mean_[j];
        distance += difference * difference;
      }
      if (distance > distance_max) {
        distance_max = distance;
        farthest = c;
      }
    }
    return farthest;
  }
  void SetDirection(int32_t towards) {
    for (size_t j = 0; j < size_; ++j) direction_[j] = Coordinate(towards, j) - mean_[j];
  }

  const Centroids& centroids_;
  size_t size_;
  std::vector<double> mean_;
  std::vector<double> direction_;
  std::vector<double> places_;
};

}  // namespace

std::vector<int32_t> OrderByNearness(const Centroids& centroids, int64_t group_size) {
  std::vector<int32_t> order(static_cast<size_t>(centroids.k));
  std::iota(order.begin(), order.end(), 0);
  Bisector bisector(centroids);
  const auto halve = [&](auto&& self, std::span<int32_t> clusters) -> void {
    const auto size = static_cast<int64_t>(clusters.size());
    if (size <= group_size) return;
    bisector.Sort(clusters);
    const int64_t groups = (size + group_size - 1) / group_size;
    const auto first = static_cast<size_t>(groups / 2 * group_size);
    self(self, clusters.first(first));
    self(self, clusters.subspan(first));
  };
  halve(halve, order);
  return order;
}

CentroidTable::CentroidTable(int64_t n_features, int unit, std::span<const float> shift)
    : n_features_(n_features), unit_(unit), shift_(shift.begin(), shift.end()) {}

CentroidRange CentroidTable::group(int g) const {
  return {values_.get(), h_.get(), n_features_, g * group_size_,
          std::min((g + 1) * group_size_, k_)};
}

void CentroidTable::Set(const Centroids& centroids, int groups_max, bool regroup,
                        base::ThreadPool& pool) {
  if (centroids.n_features != n_features_) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("the centroids have {} features, the data {}",
                                  centroids.n_features, n_features_));
  }
  CheckShape(centroids, "centroids");
  regrouped_ = regroup || centroids.k != k_;
  if (regrouped_) Layout(centroids, groups_max);
  Pack(centroids, pool);
  HideCopies(centroids);
}

void CentroidTable::Layout(const Centroids& centroids, int groups_max) {
  if (centroids.k != k_) {
    const int64_t last_unit = (centroids.k - 1) / unit_ * unit_;
    const int64_t padded = last_unit + UnitWidth(unit_, last_unit, centroids.k);
    values_.reset();  // before the new ones: a table may be large
    values_ = MakeAligned<float>(static_cast<size_t>(padded * n_features_));
    h_ = MakeAligned<float>(static_cast<size_t>(RoundUp(padded, kPanelCentroids)));
    k_ = centroids.k;
  }
  const int64_t groups = std::clamp<int64_t>(groups_max, 1, kGroupsMax);
  group_size_ = RoundUp((k_ + groups - 1) / groups, unit_);
  group_count_ = static_cast<int>((k_ + group_size_ - 1) / group_size_);
  order_ = OrderByNearness(centroids, group_size_);
  positions_.resize(order_.size());
  groups_.resize(order_.size());
  for (size_t p = 0; p < order_.size(); ++p) {
    groups_[p] = static_cast<uint8_t>(p / static_cast<size_t>(group_size_));
    positions_[static_cast<size_t>(order_[p])] = static_cast<int32_t>(p);
  }
  squared_norms_.assign(order_.size(), 0.0);
  moves_.assign(order_.size(), 0.0F);
  hidden_.assign(order_.size(), 0);
}

// Eight centroids from position `first` on, from rows to columns.
void CentroidTable::PackUnit(const Centroids& centroids, int64_t first) {
  const int64_t unit_first = first / unit_ * unit_;
  const int64_t width = UnitWidth(unit_, unit_first, k_);
  float* const to = values_.get() + unit_first * n_features_ + (first - unit_first);
  const int count = static_cast<int>(std::min<int64_t>(kLanes, k_ - first));
  const auto row = [&](int i) {
    return centroids.row(order_[static_cast<size_t>(first + std::min(i, count - 1))]);
  };
  D8 squares = {};
  D8 moved = {};
  for (int64_t j = 0; j < n_features_; j += kLanes) {
    const int columns = static_cast<int>(std::min<int64_t>(kLanes, n_features_ - j));
    F8 tile[kLanes];
    const F8 shift = shift_.empty() ? F8{} : simd::LoadPartial(shift_.data() + j, columns);
    for (int i = 0; i < kLanes; ++i) tile[i] = simd::LoadPartial(row(i) + j, columns) - shift;
    simd::Transpose(tile);
    for (int i = 0; i < columns; ++i) {
      float* const at = to + (j + i) * width;
      const D8 value = __builtin_convertvector(tile[i], D8);
      const D8 difference = value - __builtin_convertvector(simd::Load(at), D8);
      squares += value * value;
      moved += difference * difference;
      simd::Store(at, tile[i]);
    }
  }
  for (int i = 0; i < count; ++i) {
    const auto position = static_cast<size_t>(first + i);
    // The old and the new centroid were each rounded once when the shift was taken off.
    const double slack = 0x1p-23 * (std::sqrt(squares[i]) + std::sqrt(squared_norms_[position]));
    moves_[static_cast<size_t>(order_[position])] =
        FloatAbove(std::sqrt(moved[i]) + (shift_.empty() ? 0 : slack));
    squared_norms_[position] = squares[i];
  }
}

void CentroidTable::Pack(const Centroids& centroids, base::ThreadPool& pool) {
  pool.ForEachBlock(static_cast<size_t>((k_ + kLanes - 1) / kLanes), [&](size_t block) {
    PackUnit(centroids, static_cast<int64_t>(block) * kLanes);
  });
  double squared_norm_max = 0;
  for (size_t p = 0; p < squared_norms_.size(); ++p) {
    if (!std::isfinite(squared_norms_[p])) {  // or a difference to the shift overflows
      k_ = 0;  // nothing of the table is worth keeping if this throws
      CheckCentroids(centroids, "centroids");
      k_ = centroids.k;
    }
    squared_norm_max = std::max(squared_norm_max, squared_norms_[p]);
    // Where this overflows no row's score is looked at.
    h_[p] = squared_norms_[p] < 0x1p127 ? static_cast<float>(squared_norms_[p] / 2) : kInfinity;
  }
  std::fill(h_.get() + k_, h_.get() + RoundUp(k_, kPanelCentroids), kInfinity);
  norm_max_ = FloatAbove(std::sqrt(squared_norm_max));
  group_moves_.assign(static_cast<size_t>(group_count_), 0.0F);
  for (size_t p = 0; p < order_.size(); ++p) {
    float& group_move = group_moves_[p / static_cast<size_t>(group_size_)];
    const float move = hidden_[p] != 0 ? kInfinity : moves_[static_cast<size_t>(order_[p])];
    group_move = std::max(group_move, move);
  }
}

// Of equal centroids the one with the lowest number gets every row, so the others need not be
// looked at; else each of their rows would be a tie to be settled.
void CentroidTable::HideCopies(const Centroids& centroids) {
  std::ranges::fill(hidden_, 0);
  if (n_features_ == 0) return;
  std::vector<int32_t> by_norm(order_.size());
  std::iota(by_norm.begin(), by_norm.end(), 0);
  const auto norm = [&](int32_t c) {
    return squared_norms_[static_cast<size_t>(positions_[static_cast<size_t>(c)])];
  };
  std::ranges::stable_sort(by_norm, {}, norm);
  const size_t row_bytes = static_cast<size_t>(n_features_) * sizeof(float);
  const auto bytes = [&](int32_t c) {
    return std::as_bytes(std::span(centroids.row(c), static_cast<size_t>(n_features_)));
  };
  std::vector<std::pair<uint64_t, int32_t>> run;
  for (size_t begin = 0; begin < by_norm.size();) {
    size_t end = begin + 1;
    while (end < by_norm.size() && norm(by_norm[end]) == norm(by_norm[begin])) ++end;
    if (end - begin > 1) {
      run.clear();
      for (size_t i = begin; i < end; ++i) {
        run.emplace_back(base::Checksum64(bytes(by_norm[i])), by_norm[i]);
      }
      std::ranges::sort(run);
      for (size_t i = 1, first = 0; i < run.size(); ++i) {
        const bool copy = run[i].first == run[first].first &&
                          std::memcmp(centroids.row(run[i].second),
                                      centroids.row(run[first].second), row_bytes) == 0;
        if (!copy) {
          first = i;
          continue;
        }
        const int32_t position = positions_[static_cast<size_t>(run[i].second)];
        hidden_[static_cast<size_t>(position)] = 1;
        h_[static_cast<size_t>(position)] = kInfinity;
      }
    }
    begin = end;
  }
}

}  // namespace lambdaml::model::kmeans
