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

void SparseBuilder::Append(const Dataset& rows) {
  for (int64_t r = 0; r < rows.rows(); ++r) {
    BeginRow(rows.labels[static_cast<size_t>(r)]);
    if (rows.is_dense()) {
      const float* row = rows.dense().row(r);
      ReserveNonzeros(static_cast<size_t>(rows.n_features()));
      for (int64_t j = 0; j < rows.n_features(); ++j) {
        if (row[j] != 0) Put(static_cast<int32_t>(j), row[j]);
      }
    } else {
      const SparseRows& sparse = rows.sparse();
      const auto begin = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r)]);
      const auto end = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r) + 1]);
      ReserveNonzeros(end - begin);
      for (size_t i = begin; i < end; ++i) Put(sparse.columns[i], sparse.values[i]);
    }
    EndRow();
  }
}

Dataset SparseBuilder::Finish(int64_t n_features) && {
  LAMBDAML_CHECK(n_features >= width_ && rows() > 0);
  labels_.Trim();
  row_offsets_.Trim();
  columns_.Trim();
  values_.Trim();
  auto storage = std::make_shared<SparseBuilder>(std::move(*this));
  SparseRows rows = storage->view();
  rows.n_features = n_features;
  return {rows, storage->labels(), storage};
}

void DenseBuilder::Append(const Dataset& rows) {
  LAMBDAML_CHECK(rows.n_features() <= width_);
  for (int64_t r = 0; r < rows.rows(); ++r) {
    float* const target = AppendRow(rows.labels[static_cast<size_t>(r)]);
    if (rows.is_dense()) {
      std::copy_n(rows.dense().row(r), rows.n_features(), target);
    } else {
      const SparseRows& sparse = rows.sparse();
      const auto begin = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r)]);
      const auto end = static_cast<size_t>(sparse.row_offsets[static_cast<size_t>(r) + 1]);
      for (size_t i = begin; i < end; ++i) target[sparse.columns[i]] = sparse.values[i];
    }
  }
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
  LAMBDAML_CHECK(rows() > 0);
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
