// One way in for every form a data set has on disk or in a store.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/layout.h"

namespace lambdaml::data {

struct LoadOptions {
  int index_base = 1;  // of libsvm text: 0 or 1; binary shards have no base
  std::optional<int64_t> n_features = std::nullopt;  // width; data beyond it is refused
  Layout layout = Layout::kAuto;  // kAuto: as a binary shard is stored, by density for text
};

// Loads a file: an .npz shard (mapped, not copied), or libsvm text or an idx file (plain, gzip,
// zstd), told apart by their first bytes; images (images.h), known by their name. Errors:
// kNotFound, kPermissionDenied; kInvalidData and kCorrupt naming the place; kInvalidArgument for
// bad options.
Dataset LoadFile(const std::string& path, const LoadOptions& options);

// The same from bytes, as a store returns them; `name` is for errors.
Dataset LoadBytes(base::Blob bytes, const std::string& name, const LoadOptions& options);

}  // namespace lambdaml::data
