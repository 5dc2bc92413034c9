// Reads libsvm text, strictly: "label [qid:n] index:value index:value … [# comment]" per line.
// docs/formats.md lists what is accepted and what is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "lambdaml/data/byte_source.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/layout.h"

namespace lambdaml::data {

// A longer line is refused: it is no libsvm text, and the window would have to hold it.
inline constexpr size_t kLineBytesMax = size_t{64} << 20;

struct LibsvmOptions {
  int index_base = 1;                                // of the first feature: 0 or 1, never guessed
  std::optional<int64_t> n_features = std::nullopt;  // width; without it the largest index
  Layout layout = Layout::kAuto;
};

// Peak memory: the matrix and a window of some hundred kilobytes (or the longest line). Only where
// kAuto's guess from the first window turns out wrong at the end are both layouts held at once.
// Errors: kInvalidData as "name:line: what"; kInvalidArgument for bad options; kResourceExhausted
// when the matrix does not fit the machine; what `source` throws.
Dataset ReadLibsvm(ByteSource& source, const LibsvmOptions& options);

}  // namespace lambdaml::data
