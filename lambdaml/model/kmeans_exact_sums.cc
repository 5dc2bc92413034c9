#include "lambdaml/model/kmeans_exact_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <mutex>

namespace lambdaml::model::kmeans {
namespace {

// 1.5 · 2^52 · quantum: sums with it stay between 2^52 and 2^53 quanta.
double Magic(int quantum_exponent) { return std::ldexp(1.5, 52 + quantum_exponent); }

}  // namespace

SumGrid::SumGrid(std::span<const float> max_abs, int64_t count) {
  constexpr float kUniformMax = 0x1p24F;
  float largest = 0;
  float smallest = std::numeric_limits<float>::max();
  for (const float max : max_abs) {
    if (max == 0) continue;
    largest = std::max(largest, max);
    smallest = std::min(smallest, max);
  }
  is_uniform_ = largest / kUniformMax <= smallest;
  const int b = std::max(2, static_cast<int>(std::bit_width(static_cast<uint64_t>(count))));
  for (const float max : max_abs) {
    int e = 0;
    std::frexp(is_uniform_ ? largest : max, &e);  // max < 2^e
    high_magic_.push_back(Magic(e + b - 52));
    low_magic_.push_back(Magic(e + 2 * b - 104));
  }
}

bool SumGrid::IsCoarse(const float* x) const {
  bool coarse = true;
  for (size_t j = 0; j < high_magic_.size(); ++j) {
    const auto value = static_cast<double>(x[j]);
    coarse &= (value + high_magic_[j]) - high_magic_[j] == value;
  }
  return coarse;
}

void SumGrid::Add(const float* x, double sign, double* high, double* low) const {
  const size_t size = high_magic_.size();
  if (low == nullptr) {
    for (size_t j = 0; j < size; ++j) high[j] += sign * static_cast<double>(x[j]);
    return;
  }
  const auto add = [&](auto high_magic, auto low_magic) {
    for (size_t j = 0; j < size; ++j) {
      const Parts parts = Split(sign * static_cast<double>(x[j]), high_magic(j), low_magic(j));
      high[j] += parts.high;
      low[j] += parts.low;
    }
  };
  if (is_uniform_ && size > 0) {
    add([m = high_magic_[0]](size_t) { return m; }, [m = low_magic_[0]](size_t) { return m; });
  } else {
    add([m = high_magic_.data()](size_t j) { return m[j]; },
        [m = low_magic_.data()](size_t j) { return m[j]; });
  }
}

void SumGrid::Add(const SparseRow& x, double sign, double* high, double* low) const {
  for (size_t i = 0; i < x.columns.size(); ++i) {
    const auto j = static_cast<size_t>(x.columns[i]);
    const size_t at = is_uniform_ ? 0 : j;
    const Parts parts =
        Split(sign * static_cast<double>(x.values[i]), high_magic_[at], low_magic_[at]);
    high[j] += parts.high;
    low[j] += parts.low;
  }
}

std::vector<float> ColumnMaxima(const data::Dataset& dataset, base::ThreadPool& pool) {
  const auto n_features = static_cast<size_t>(dataset.n_features());
  std::vector<float> maxima(n_features);
  const auto take = [](float& max, float value) { max = std::max(max, std::abs(value)); };
  if (!dataset.is_dense()) {
    const data::SparseRows& x = dataset.sparse();
    for (size_t i = 0; i < x.values.size(); ++i) {
      take(maxima[static_cast<size_t>(x.columns[i])], x.values[i]);
    }
    return maxima;
  }
  constexpr int64_t kBlockRows = 4096;
  const int64_t rows = dataset.rows();
  std::mutex mutex;
  pool.ForEachBlock(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows), [&](size_t b) {
    const int64_t begin = static_cast<int64_t>(b) * kBlockRows;
    std::vector<float> of_block(n_features);
    for (int64_t r = begin; r < std::min(begin + kBlockRows, rows); ++r) {
      const float* const x = dataset.dense().row(r);
      for (size_t j = 0; j < n_features; ++j) take(of_block[j], x[j]);
    }
    const std::lock_guard lock(mutex);
    for (size_t j = 0; j < n_features; ++j) take(maxima[j], of_block[j]);
  });
  return maxima;
}

}  // namespace lambdaml::model::kmeans
