#include "lambdaml/data/builder.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "lambdaml/base/check.h"

namespace lambdaml::data {

void SparseBuilder::ReserveNonzeros(size_t more) {
  columns_.Reserve(pending_ + more);
  values_.Reserve(pending_ + more);
}

void SparseBuilder::EndRow() {
  if (row_offsets_.size() == 0) row_offsets_.Append(0);
  if (pending_ > values_.size()) {
    width_ = std::max<int64_t>(width_, columns_.data()[pending_ - 1] + int64_t{1});
  }
  columns_.CommitWritten(pending_ - columns_.size());
  values_.CommitWritten(pending_ - values_.size());
  row_offsets_.Append(static_cast<int64_t>(pending_));
}

void SparseBuilder::AppendRowOf(const Dataset& source, int64_t row) {
  BeginRow(source.labels[static_cast<size_t>(row)]);
  if (source.is_dense()) {
    const float* const values = source.dense().row(row);
    ReserveNonzeros(static_cast<size_t>(source.n_features()));
    for (int64_t j = 0; j < source.n_features(); ++j) {
      if (values[j] != 0) Put(static_cast<int32_t>(j), values[j]);
    }
  } else {
    const SparseRows& sparse = source.sparse();
    const auto begin = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(row)]);
    const auto end = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(row) + 1]);
    ReserveNonzeros(end - begin);
    for (size_t i = begin; i < end; ++i) Put(sparse.columns[i], sparse.values[i]);
  }
  EndRow();
}

void SparseBuilder::Append(const Dataset& source) {
  for (int64_t r = 0; r < source.rows(); ++r) AppendRowOf(source, r);
}

Dataset SparseBuilder::Finish(int64_t n_features) && {
  LAMBDAML_CHECK(n_features >= width_);
  if (row_offsets_.size() == 0) row_offsets_.Append(0);
  labels_.Trim();
  row_offsets_.Trim();
  columns_.Trim();
  values_.Trim();
  auto storage = std::make_shared<SparseBuilder>(std::move(*this));
  SparseRows rows = storage->view();
  rows.n_features = n_features;
  return {rows, storage->labels(), storage};
}

void DenseBuilder::AppendRowOf(const Dataset& source, int64_t row) {
  float* const target = AppendRow(source.labels[static_cast<size_t>(row)]);
  if (source.is_dense()) {
    std::copy_n(source.dense().row(row), source.n_features(), target);
    return;
  }
  const SparseRows& sparse = source.sparse();
  const auto begin = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(row)]);
  const auto end = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(row) + 1]);
  for (size_t i = begin; i < end; ++i) target[sparse.columns[i]] = sparse.values[i];
}

void DenseBuilder::Append(const Dataset& source) {
  LAMBDAML_CHECK(source.n_features() <= width_);
  for (int64_t r = 0; r < source.rows(); ++r) AppendRowOf(source, r);
}

void DenseBuilder::TruncateRows(int64_t rows) {
  labels_.Truncate(static_cast<size_t>(rows));
  values_.Truncate(static_cast<size_t>(rows * width_));
}

void DenseBuilder::SetWidth(int64_t width) {
  const auto from = static_cast<size_t>(width_);
  const auto to = static_cast<size_t>(width);
  const auto row_count = static_cast<size_t>(rows());
  if (to > from) {
    values_.AppendZeros(row_count * (to - from));
    float* const values = values_.data();
    for (size_t r = row_count; r-- > 0;) {
      std::copy_backward(values + r * from, values + (r + 1) * from, values + r * to + from);
      std::fill(values + r * to + from, values + (r + 1) * to, 0.0F);
    }
  } else if (to < from) {
    float* const values = values_.data();
    for (size_t r = 0; r < row_count; ++r) {
      std::copy(values + r * from, values + r * from + to, values + r * to);
    }
    values_.Truncate(row_count * to);
  }
  width_ = width;
}

Dataset DenseBuilder::Finish() && {
  labels_.Trim();
  values_.Trim();
  auto storage = std::make_shared<DenseBuilder>(std::move(*this));
  return {storage->view(), storage->labels(), storage};
}

Dataset ToDense(const Dataset& dataset) {
  DenseBuilder dense(dataset.n_features());
  dense.Append(dataset);
  return std::move(dense).Finish();
}

Dataset ToSparse(const Dataset& dataset) {
  SparseBuilder sparse;
  sparse.Append(dataset);
  return std::move(sparse).Finish(dataset.n_features());
}

}  // namespace lambdaml::data
