#include "data_testing.h"

#include <bit>
#include <cmath>
#include <utility>

namespace lambdaml::data {

Plain ToPlain(const Dataset& dataset) {
  Plain plain;
  plain.dense = dataset.is_dense();
  plain.rows = dataset.rows();
  plain.n_features = dataset.n_features();
  plain.labels.assign(dataset.labels.begin(), dataset.labels.end());
  const auto values = plain.dense ? dataset.dense().values : dataset.sparse().values;
  for (const float value : values) plain.values.push_back(std::bit_cast<uint32_t>(value));
  if (!plain.dense) {
    const SparseRows& sparse = dataset.sparse();
    plain.row_offsets.assign(sparse.row_offsets.begin(), sparse.row_offsets.end());
    plain.columns.assign(sparse.columns.begin(), sparse.columns.end());
  }
  return plain;
}

Dataset FromText(std::string_view text, const LibsvmOptions& options) {
  return ReadLibsvm(*OpenMemorySource(base::Blob::Copy(base::AsBytes(text)), "t"), options);
}

namespace {

float RandomValue(base::Random& random) {
  switch (random.Below(4)) {
    case 0:
      return static_cast<float>(random.Normal());
    case 1:
      return static_cast<float>(random.Below(10));
    case 2:
      return random.Below(2) == 0 ? -0.0F : 0.5F;
    default: {
      const float value = std::bit_cast<float>(static_cast<uint32_t>(random.Next()));
      return std::isfinite(value) ? value : 1.0F;
    }
  }
}

}  // namespace

Dataset RandomDataset(base::Random& random, bool dense) {
  const auto rows = static_cast<int64_t>(1 + random.Below(40));
  const auto n_features = static_cast<int64_t>(1 + random.Below(40));
  DenseBuilder dense_rows(n_features);
  SparseBuilder sparse_rows;
  for (int64_t r = 0; r < rows; ++r) {
    const double label =
        random.Below(2) == 0 ? static_cast<double>(random.Below(3)) - 1 : random.Normal();
    float* const row = dense_rows.AppendRow(label);
    sparse_rows.BeginRow(label);
    sparse_rows.ReserveNonzeros(static_cast<size_t>(n_features));
    const uint64_t share = random.Below(5);
    for (int64_t j = 0; j < n_features; ++j) {
      if (random.Below(4) >= share) continue;
      row[j] = RandomValue(random);
      sparse_rows.Put(static_cast<int32_t>(j), row[j]);
    }
    sparse_rows.EndRow();
  }
  return dense ? std::move(dense_rows).Finish() : std::move(sparse_rows).Finish(n_features);
}

}  // namespace lambdaml::data
