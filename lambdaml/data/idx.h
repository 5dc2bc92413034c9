// The idx format, in which MNIST and its relatives come: an array of unsigned bytes.
//
//   file   = 0 0 type dimensions size{dimensions} byte{product of the sizes}
//   type   = 8 (unsigned byte; others exist and are refused)
//   size   = uint32, most significant byte first
//
// The first dimension counts the rows. A row's features are its bytes in their order, divided by
// 255: pixels from 0 to 1. An array of one dimension holds labels, as they are.
#pragma once

#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/byte_source.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/load.h"

namespace lambdaml::data {

// Whether `start`, the first four bytes of a file, say that it is one. No text begins so.
bool IsIdx(base::ByteSpan start);

// Reads rows, all labels 0; kAuto makes them dense, as images are. Errors: kInvalidData, naming the
// source: another type, no rows, one dimension, bytes that are missing or too many, more features
// than options.n_features.
Dataset ReadIdx(ByteSource& source, const LoadOptions& options);

// Reads labels from bytes as a store returns them, plain or compressed; `name` is for errors:
// kInvalidData for anything but an idx array of one dimension.
std::vector<double> LoadIdxLabels(base::Blob bytes, const std::string& name);

}  // namespace lambdaml::data
