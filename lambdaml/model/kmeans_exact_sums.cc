#include "lambdaml/model/kmeans_exact_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

namespace lambdaml::model::kmeans {
namespace {

// 1.5 · 2^52 · quantum: sums with it stay between 2^52 and 2^53 quanta.
double Magic(int quantum_exponent) { return std::ldexp(1.5, 52 + quantum_exponent); }

}  // namespace

SumGrid::SumGrid(std::span<const float> max_abs, int64_t count) {
  const int b = std::max(2, static_cast<int>(std::bit_width(static_cast<uint64_t>(count))));
  for (const float max : max_abs) {
    int e = 0;
    std::frexp(max, &e);  // max < 2^e
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
  const double* const high_magic = high_magic_.data();
  const double* const low_magic = low_magic_.data();
  if (low == nullptr) {
    for (size_t j = 0; j < size; ++j) high[j] += sign * static_cast<double>(x[j]);
    return;
  }
  for (size_t j = 0; j < size; ++j) {
    const double value = sign * static_cast<double>(x[j]);
    const double high_part = (value + high_magic[j]) - high_magic[j];
    const double low_part = ((value - high_part) + low_magic[j]) - low_magic[j];
    high[j] += high_part;
    low[j] += low_part;
  }
}

void SumGrid::Add(const SparseRow& x, double* high, double* low) const {
  for (size_t i = 0; i < x.columns.size(); ++i) {
    const auto j = static_cast<size_t>(x.columns[i]);
    const auto value = static_cast<double>(x.values[i]);
    const double high_part = (value + high_magic_[j]) - high_magic_[j];
    high[j] += high_part;
    low[j] += ((value - high_part) + low_magic_[j]) - low_magic_[j];
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
