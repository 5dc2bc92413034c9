// Small data sets whose rows can be told apart, and folders to split them into.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/split.h"

namespace lambdaml::train {

// Row r has the features (r + 1, 1 in column 1 + r mod 3) and the label labels[r mod size].
inline data::Dataset NumberedRows(int64_t rows, const std::vector<double>& labels, bool dense) {
  data::SparseBuilder builder;
  for (int64_t r = 0; r < rows; ++r) {
    builder.BeginRow(labels[static_cast<size_t>(r) % labels.size()]);
    builder.ReserveNonzeros(2);
    builder.Put(0, static_cast<float>(r + 1));
    builder.Put(static_cast<int32_t>(1 + r % 3), 1);
    builder.EndRow();
  }
  const data::Dataset sparse = std::move(builder).Finish(4);
  return dense ? data::ToDense(sparse) : sparse;
}

// The numbers r + 1 of a data set's rows.
inline std::vector<int64_t> NumbersOf(const data::Dataset& dataset) {
  const data::Dataset dense = data::ToDense(dataset);
  std::vector<int64_t> numbers;
  for (int64_t r = 0; r < dense.rows(); ++r) {
    numbers.push_back(static_cast<int64_t>(dense.dense().row(r)[0]));
  }
  return numbers;
}

class TemporaryFolder {
 public:
  TemporaryFolder() : directory_(std::filesystem::temp_directory_path(), "train-test-") {}

  const std::string& path() const { return directory_.path(); }

  // Writes shards and manifest.
  data::Manifest Split(const data::Dataset& dataset, int64_t parts) const {
    return data::Split(dataset, {.parts = parts}, [&](std::string_view name, base::ByteSpan bytes) {
      base::WriteFileAtomic(path() + "/" + std::string(name), bytes);
    });
  }

 private:
  base::TemporaryDirectory directory_;
};

}  // namespace lambdaml::train
