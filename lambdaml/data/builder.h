// Data sets that grow row by row, in the memory they keep when they are finished.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/growable_buffer.h"

namespace lambdaml::data {

// Columns fit int32 and their count too.
inline constexpr int64_t kFeaturesMax = 2'147'483'647;

class SparseBuilder {
 public:
  int64_t rows() const { return static_cast<int64_t>(labels_.size()); }
  int64_t nonzeros() const { return static_cast<int64_t>(values_.size()); }
  int64_t width() const { return width_; }  // the largest column so far, plus 1

  // A row is its label, then Put for each column in increasing order, then EndRow. Put stores
  // without a check: ReserveNonzeros must have made room.
  void BeginRow(double label) { labels_.Append(label); }
  void ReserveNonzeros(size_t more);
  void Put(int32_t column, float value) {
    columns_.data()[pending_] = column;
    values_.data()[pending_++] = value;
  }
  void EndRow();

  // Adds one row of a data set, or all of them, with labels.
  void AppendRowOf(const Dataset& source, int64_t row);
  void Append(const Dataset& source);

  // What was built so far; valid until the next change.
  SparseRows view() const {
    return {rows(), width_, RowOffsets(), columns_.view(), values_.view()};
  }
  std::span<const double> labels() const { return labels_.view(); }

  // n_features >= width().
  Dataset Finish(int64_t n_features) &&;

 private:
  std::span<const int64_t> RowOffsets() const { return row_offsets_.view(); }

  GrowableBuffer<double> labels_;
  GrowableBuffer<int64_t> row_offsets_;  // empty until the first row ends
  GrowableBuffer<int32_t> columns_;
  GrowableBuffer<float> values_;
  size_t pending_ = 0;  // non-zeros stored, those of the unfinished row included
  int64_t width_ = 0;
};

class DenseBuilder {
 public:
  explicit DenseBuilder(int64_t width) : width_(width) {}

  int64_t rows() const { return static_cast<int64_t>(labels_.size()); }
  int64_t width() const { return width_; }

  // Adds a row of zeros, which the caller fills: width() values, valid until the next change.
  float* AppendRow(double label) {
    labels_.Append(label);
    return values_.AppendZeros(static_cast<size_t>(width_));
  }

  // Adds one row of a data set of at most width() columns, or all of them, with labels.
  void AppendRowOf(const Dataset& source, int64_t row);
  void Append(const Dataset& source);

  // Drops the rows from `rows` on.
  void TruncateRows(int64_t rows);

  // Changes the width in place; columns beyond a smaller one are dropped.
  void SetWidth(int64_t width);

  DenseRows view() const { return {rows(), width_, values_.view()}; }
  std::span<const double> labels() const { return labels_.view(); }

  Dataset Finish() &&;

 private:
  GrowableBuffer<double> labels_;
  GrowableBuffer<float> values_;
  int64_t width_;
};

// The data set in the other layout. Explicit zeros become ordinary ones.
Dataset ToDense(const Dataset& dataset);
Dataset ToSparse(const Dataset& dataset);

}  // namespace lambdaml::data
