#include "lambdaml/data/split.h"

#include <fmt/format.h>
#include <numeric>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/base/units.h"
#include "lambdaml/data/select.h"

namespace lambdaml::data {
namespace {

std::vector<int64_t> RowOrder(int64_t rows, std::optional<uint64_t> shuffle_seed) {
  if (shuffle_seed.has_value()) return base::Permutation(rows, *shuffle_seed);
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

}  // namespace

Manifest Split(const Dataset& dataset, const SplitOptions& options, const FileSink& sink) {
  if (options.parts < 1 || options.parts > kShardsMax) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("cannot split into {} parts, only into 1 to {}", options.parts,
                                  base::FormatCount(kShardsMax)));
  }
  if (options.parts > dataset.rows()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("cannot split {} rows into {} parts: each needs at least one",
                                  dataset.rows(), options.parts));
  }
  const std::vector<int64_t> order = RowOrder(dataset.rows(), options.shuffle_seed);
  Manifest manifest;
  manifest.layout = dataset.is_dense() ? Layout::kDense : Layout::kSparse;
  for (int64_t i = 0; i < options.parts; ++i) {
    std::vector<int64_t> rows;
    for (int64_t k = i; k < dataset.rows(); k += options.parts) {
      rows.push_back(order[static_cast<size_t>(k)]);
    }
    const Dataset shard = TakeRows(dataset, rows);
    const base::Bytes bytes = Encode(shard, options.format);
    std::string name = ShardName(i, options.parts);
    sink(name, bytes);
    manifest.Add(MakeShardEntry(std::move(name), Describe(shard), bytes));
  }
  sink(kManifestName, base::AsBytes(manifest.ToText()));
  return manifest;
}

}  // namespace lambdaml::data
