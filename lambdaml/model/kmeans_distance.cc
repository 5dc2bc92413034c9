#include "lambdaml/model/kmeans_distance.h"

#include <algorithm>

#include "lambdaml/base/check.h"
#include "lambdaml/model/simd.h"

namespace lambdaml::model {
namespace {

using simd::F8;
using simd::kLanes;

// The partial sums: eight doubles.
using D8 = double __attribute__((vector_size(64)));

struct PartialSums {
  D8 sums = {};

  void Add(F8 x, F8 c) {
    const D8 difference = __builtin_convertvector(x, D8) - __builtin_convertvector(c, D8);
    sums += difference * difference;
  }
  double Total() const {
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) +
           ((sums[4] + sums[5]) + (sums[6] + sums[7]));
  }
};

}  // namespace

double SquaredDistance(const float* x, const float* c, int64_t n_features) {
  PartialSums partial;
  int64_t j = 0;
  for (; j + kLanes <= n_features; j += kLanes) partial.Add(simd::Load(x + j), simd::Load(c + j));
  if (j < n_features) {
    const int count = static_cast<int>(n_features - j);
    partial.Add(simd::LoadPartial(x + j, count), simd::LoadPartial(c + j, count));
  }
  return partial.Total();
}

double SquaredDistance(const SparseRow& x, const float* c, int64_t n_features) {
  PartialSums partial;
  size_t i = 0;
  for (int64_t j = 0; j < n_features; j += kLanes) {
    const int count = static_cast<int>(std::min<int64_t>(kLanes, n_features - j));
    F8 values = {};
    for (; i < x.columns.size() && x.columns[i] < j + kLanes; ++i) {
      values[x.columns[i] - j] = x.values[i];
    }
    partial.Add(values, count == kLanes ? simd::Load(c + j) : simd::LoadPartial(c + j, count));
  }
  return partial.Total();
}

double SquaredDistance(const data::Dataset& dataset, int64_t r, const float* c) {
  if (dataset.is_dense()) {
    return SquaredDistance(dataset.dense().row(r), c, dataset.n_features());
  }
  return SquaredDistance(SparseRowOf(dataset.sparse(), r), c, dataset.n_features());
}

void CopyRow(const data::Dataset& dataset, int64_t r, std::span<float> to) {
  LAMBDAML_CHECK(static_cast<int64_t>(to.size()) == dataset.n_features());
  if (dataset.is_dense()) {
    std::copy_n(dataset.dense().row(r), to.size(), to.begin());
    return;
  }
  std::ranges::fill(to, 0.0F);
  const SparseRow row = SparseRowOf(dataset.sparse(), r);
  for (size_t i = 0; i < row.columns.size(); ++i) {
    to[static_cast<size_t>(row.columns[i])] = row.values[i];
  }
}

}  // namespace lambdaml::model
