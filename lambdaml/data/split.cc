#include "lambdaml/data/split.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
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

// Which places in the order shard `part` gets.
std::vector<int64_t> PlacesOf(int64_t part, int64_t rows, const SplitOptions& options) {
  std::vector<int64_t> places;
  if (options.order == SplitOrder::kDealt) {
    for (int64_t k = part; k < rows; k += options.parts) places.push_back(k);
    return places;
  }
  const int64_t begin = rows / options.parts * part + std::min(part, rows % options.parts);
  const int64_t size = rows / options.parts + (part < rows % options.parts ? 1 : 0);
  places.resize(static_cast<size_t>(size));
  std::iota(places.begin(), places.end(), begin);
  return places;
}

}  // namespace

RowDealer::RowDealer(int64_t rows, const SplitOptions& options) : options_(options) {
  if (options.parts < 1 || options.parts > kShardsMax) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("cannot split into {} parts, only into 1 to {}", options.parts,
                                  base::FormatCount(kShardsMax)));
  }
  if (options.parts > rows) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("cannot split {} rows into {} parts: each needs at least one",
                                  rows, options.parts));
  }
  order_ = RowOrder(rows, options.shuffle_seed);
}

std::vector<int64_t> RowDealer::RowsOf(int64_t part) const {
  std::vector<int64_t> rows = PlacesOf(part, std::ssize(order_), options_);
  for (int64_t& row : rows) row = order_[static_cast<size_t>(row)];
  return rows;
}

Manifest Split(const Dataset& dataset, const SplitOptions& options, const FileSink& sink) {
  const RowDealer dealer(dataset.rows(), options);
  Manifest manifest;
  manifest.layout = dataset.is_dense() ? Layout::kDense : Layout::kSparse;
  for (int64_t i = 0; i < options.parts; ++i) {
    const Dataset shard = TakeRows(dataset, dealer.RowsOf(i));
    const base::Bytes bytes = Encode(shard, options.format);
    std::string name = ShardName(i, options.parts);
    sink(name, bytes);
    manifest.Add(MakeShardEntry(std::move(name), Describe(shard), bytes));
  }
  sink(kManifestName, base::AsBytes(manifest.ToText()));
  return manifest;
}

}  // namespace lambdaml::data
