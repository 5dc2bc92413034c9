// The float64 distance that decides every assignment of k-means.
//
//   D(x, c) = Σ_j (x_j − c_j)²        x, c float32; differences, squares and sums in float64
//
// Eight partial sums, of the columns j ≡ 0, 1, … 7 (mod 8), each in the order of j, added in pairs.
// So D is one number for dense and sparse rows, on every target and in every thread; its relative
// error is at most (n_features/8 + 6) · 2^-53, since no term is negative.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/data/dataset.h"

namespace lambdaml::model {

// x and c have n_features numbers each.
double SquaredDistance(const float* x, const float* c, int64_t n_features);

// A sparse row: columns strictly increasing, all below n_features. Costs n_features like the dense
// one: the zeros count.
struct SparseRow {
  std::span<const int32_t> columns;
  std::span<const float> values;
};
double SquaredDistance(const SparseRow& x, const float* c, int64_t n_features);

inline SparseRow SparseRowOf(const data::SparseRows& rows, int64_t r) {
  const auto begin = static_cast<size_t>(rows.row_offsets[static_cast<size_t>(r)]);
  const auto end = static_cast<size_t>(rows.row_offsets[static_cast<size_t>(r) + 1]);
  return {rows.columns.subspan(begin, end - begin), rows.values.subspan(begin, end - begin)};
}

// D of row r of either kind of data.
double SquaredDistance(const data::Dataset& dataset, int64_t r, const float* c);

// Writes row r with its zeros to `to`, which has n_features numbers.
void CopyRow(const data::Dataset& dataset, int64_t r, std::span<float> to);

}  // namespace lambdaml::model
