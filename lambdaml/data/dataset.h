// Rows of features with their labels, as every workload reads them: a shard or a whole data set.
//
// The numbers live in memory that somebody owns (vectors, or a mapped file); a Dataset is a view
// with shared ownership, and copying one copies no numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <variant>

namespace lambdaml::data {

// Row-major, no padding: values[r * n_features + j]. Always finite.
struct DenseRows {
  int64_t rows = 0;
  int64_t n_features = 0;
  std::span<const float> values;  // rows * n_features

  const float* row(int64_t r) const { return values.data() + r * n_features; }
};

// Compressed sparse rows. Columns are 0-based, strictly increasing within a row and below
// n_features; values are finite. Explicit zeros may occur.
struct SparseRows {
  int64_t rows = 0;
  int64_t n_features = 0;
  std::span<const int64_t> row_offsets;  // rows + 1, from 0 to the number of non-zeros
  std::span<const int32_t> columns;
  std::span<const float> values;

  int64_t nonzeros() const { return static_cast<int64_t>(values.size()); }
};

struct Dataset {
  std::variant<DenseRows, SparseRows> features;
  std::span<const double> labels;  // one per row, as in the file, not mapped to classes; finite
  std::shared_ptr<const void> storage;

  bool is_dense() const { return std::holds_alternative<DenseRows>(features); }
  const DenseRows& dense() const { return std::get<DenseRows>(features); }
  const SparseRows& sparse() const { return std::get<SparseRows>(features); }
  int64_t rows() const {
    return std::visit([](const auto& view) { return view.rows; }, features);
  }
  int64_t n_features() const {
    return std::visit([](const auto& view) { return view.n_features; }, features);
  }
};

}  // namespace lambdaml::data
