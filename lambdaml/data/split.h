// Deals the rows of a data set to shards.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/manifest.h"
#include "lambdaml/data/save.h"

namespace lambdaml::data {

enum class SplitOrder {
  kDealt,       // row k of the order goes to shard k mod parts
  kContiguous,  // all shards one after the other are the rows in their order
};

struct SplitOptions {
  int64_t parts = 1;
  SplitOrder order = SplitOrder::kDealt;
  std::optional<uint64_t> shuffle_seed = std::nullopt;  // without it rows keep their order
  FileFormat format = FileFormat::kNpz;
};

// Which rows go to which shard, in their own or the shuffled order.
class RowDealer {
 public:
  // Errors: kInvalidArgument for fewer than 1 or more than kShardsMax parts or for more parts than
  // rows.
  RowDealer(int64_t rows, const SplitOptions& options);

  std::vector<int64_t> RowsOf(int64_t part) const;

 private:
  const SplitOptions options_;
  std::vector<int64_t> order_;
};

// Takes a finished file: its name inside the data set's folder, and its bytes.
using FileSink = std::function<void(std::string_view name, base::ByteSpan bytes)>;

// Deals the rows, in their own or the shuffled order. Dealt, the first b rows of all shards
// together are the first parts·b rows. Sizes differ by at most one. Hands each shard, named
// ShardName(i, parts), and last the manifest to `sink`. Memory: one encoded shard at a time.
// Errors: as RowDealer; what the sink throws.
Manifest Split(const Dataset& dataset, const SplitOptions& options, const FileSink& sink);

}  // namespace lambdaml::data
