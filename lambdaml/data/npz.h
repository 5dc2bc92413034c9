// The binary form of a data set: an uncompressed .npz file that NumPy and SciPy read too, and that
// is mapped and used as it is. docs/formats.md has the members.
#pragma once

#include <functional>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

// Takes the pieces of an encoding one after the other.
using ByteSink = std::function<void(base::ByteSpan)>;

// Whether `start`, the first bytes of a file, say that it is one.
bool IsNpz(base::ByteSpan start);

// Writes a data set; equal data sets give equal bytes. Copies no numbers.
void EncodeNpz(const Dataset& dataset, const ByteSink& sink);
base::Bytes EncodeNpz(const Dataset& dataset);

// Reads one, of ours or of numpy.savez (X and perhaps y) or scipy.sparse.save_npz (perhaps without
// y), uncompressed; without y all labels are 0. Numbers of our types (float32, int32 columns, int64
// offsets, float64 labels) stay where they are in `bytes`, which the data set keeps alive; other
// types are converted into memory of their own. All checksums and all numbers are checked.
// Errors, as "origin: member: what": kCorrupt for a wrong checksum, else kInvalidData.
Dataset DecodeNpz(base::Blob bytes, std::string_view origin);

}  // namespace lambdaml::data
