#include "lambdaml/model/kmeans_exact_sums.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>

#include "lambdaml/model/kmeans_rounding.h"

namespace lambdaml::model::kmeans {
namespace {

// 1.5 · 2^52 · quantum: sums with it stay between 2^52 and 2^53 quanta.
double Magic(int quantum_exponent) { return std::ldexp(1.5, 52 + quantum_exponent); }

// The parts of x, to be added to what stands at `parts`.
template <typename Number>
struct Parts {
  Number high;
  Number low;

  Parts(const Number& x, const Number& high_magic, const Number& low_magic)
      : high((x + high_magic) - high_magic), low(((x - high) + low_magic) - low_magic) {}
};

void AddParts(Doubles high, Doubles low, double* at) {
  StoreDoubles(at, LoadDoubles(at) + high);
  StoreDoubles(at + kDoubles, LoadDoubles(at + kDoubles) + low);
}

}  // namespace

SumGrid::SumGrid(std::span<const float> max_abs, int64_t count)
    : n_features_(static_cast<int64_t>(max_abs.size())) {
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
  const auto padded = static_cast<size_t>(PartsSize(n_features_) / 2);
  for (size_t j = 0; j < padded; ++j) {
    int e = 0;  // the column's largest number is below 2^e
    std::frexp(is_uniform_ || j >= max_abs.size() ? largest : max_abs[j], &e);
    high_magic_.push_back(Magic(e + b - 52));
    low_magic_.push_back(Magic(e + 2 * b - 104));
  }
}

// use(j, parts): the parts of columns j to j + 3.
template <typename Use>
void SumGrid::ForEachPart(const float* x, const Use& use) const {
  static_assert(kPartsColumns == kDoubles);
  const int64_t n_features = n_features_;
  const double* const high_magic = high_magic_.data();
  const double* const low_magic = low_magic_.data();
  const auto cut = [&](int64_t j, const Doubles& value) {
    use(j, Parts<Doubles>(value, LoadDoubles(high_magic + j), LoadDoubles(low_magic + j)));
  };
  int64_t j = 0;
  for (; j + kDoubles <= n_features; j += kDoubles) cut(j, LoadDoubles(x + j));
  if (j < n_features) cut(j, LoadDoubles(x + j, n_features - j));
}

// use(j, parts): the parts of column j.
template <typename Use>
void SumGrid::ForEachPart(const SparseRow& x, const Use& use) const {
  const size_t size = x.columns.size();
  if (size == 0) return;
  const int32_t* const columns = x.columns.data();
  const float* const values = x.values.data();
  if (is_uniform_) {
    // Copies, since as far as the compiler knows `use` could write to the members.
    const double high_magic = high_magic_[0];
    const double low_magic = low_magic_[0];
    for (size_t i = 0; i < size; ++i) {
      use(static_cast<size_t>(columns[i]),
          Parts<double>(static_cast<double>(values[i]), high_magic, low_magic));
    }
    return;
  }
  for (size_t i = 0; i < size; ++i) {
    const auto j = static_cast<size_t>(columns[i]);
    use(j, Parts<double>(static_cast<double>(values[i]), high_magic_[j], low_magic_[j]));
  }
}

void SumGrid::Add(const float* x, double sign, double* parts) const {
  ForEachPart(x, [&](int64_t j, const Parts<Doubles>& part) {
    AddParts(sign * part.high, sign * part.low, parts + 2 * j);
  });
}

void SumGrid::Add(const SparseRow& x, double sign, double* parts) const {
  ForEachPart(x, [&](size_t j, const Parts<double>& part) {
    parts[HighAt(j)] += sign * part.high;
    parts[LowAt(j)] += sign * part.low;
  });
}

void SumGrid::Move(const float* x, double* from, double* to) const {
  ForEachPart(x, [&](int64_t j, const Parts<Doubles>& part) {
    AddParts(-part.high, -part.low, from + 2 * j);
    AddParts(part.high, part.low, to + 2 * j);
  });
}

void SumGrid::Move(const SparseRow& x, double* from, double* to) const {
  ForEachPart(x, [&](size_t j, const Parts<double>& part) {
    const size_t high = HighAt(j);
    const size_t low = LowAt(j);
    from[high] -= part.high;
    from[low] -= part.low;
    to[high] += part.high;
    to[low] += part.low;
  });
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
