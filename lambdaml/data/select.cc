#include "lambdaml/data/select.h"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/builder.h"

namespace lambdaml::data {
namespace {

template <typename Builder>
void AppendRows(const Dataset& dataset, std::span<const int64_t> rows, Builder& builder) {
  for (const int64_t row : rows) builder.AppendRowOf(dataset, row);
}

template <typename Builder>
void AppendParts(std::span<const Dataset> parts, Builder& builder) {
  for (const Dataset& part : parts) builder.Append(part);
}

}  // namespace

Dataset TakeRows(const Dataset& dataset, std::span<const int64_t> rows) {
  if (dataset.is_dense()) {
    DenseBuilder builder(dataset.n_features());
    AppendRows(dataset, rows, builder);
    return std::move(builder).Finish();
  }
  SparseBuilder builder;
  AppendRows(dataset, rows, builder);
  return std::move(builder).Finish(dataset.n_features());
}

Dataset Concatenate(std::span<const Dataset> parts) {
  LAMBDAML_CHECK(!parts.empty());
  if (parts.size() == 1) return parts.front();
  int64_t n_features = 0;
  bool dense = true;
  for (const Dataset& part : parts) {
    n_features = std::max(n_features, part.n_features());
    dense = dense && part.is_dense();
  }
  if (dense) {
    DenseBuilder builder(n_features);
    AppendParts(parts, builder);
    return std::move(builder).Finish();
  }
  SparseBuilder builder;
  AppendParts(parts, builder);
  return std::move(builder).Finish(n_features);
}

Dataset WithLabels(Dataset dataset, std::vector<double> labels, std::string_view origin) {
  if (static_cast<int64_t>(labels.size()) != dataset.rows()) {
    throw base::Error(
        base::ErrorCode::kInvalidData,
        fmt::format("{}: {} labels for {} rows", origin, labels.size(), dataset.rows()));
  }
  struct Storage {
    std::shared_ptr<const void> features;
    std::vector<double> labels;
  };
  const auto storage =
      std::make_shared<const Storage>(Storage{std::move(dataset.storage), std::move(labels)});
  dataset.labels = storage->labels;
  dataset.storage = storage;
  return dataset;
}

}  // namespace lambdaml::data
