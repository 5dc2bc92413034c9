// The blobs of all ranks as one payload: the result of a gathering round.
//
//   gathered = count:u64 (size:u64)*count (bytes)*count      ; little-endian, rank order
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::ps {

base::Bytes EncodeGathered(std::span<const base::ByteSpan> blobs);

// The blobs keep `payload` alive. Errors: kCorrupt, naming `origin`, for any other bytes.
std::vector<base::Blob> DecodeGathered(const base::Blob& payload, std::string_view origin);

}  // namespace lambdaml::ps
