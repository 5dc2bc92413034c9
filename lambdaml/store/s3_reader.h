// Reading objects, many at a time, large ones in ranges side by side.
//
// Cost: one GET for an object of up to range_size_bytes, one more for each further range of that
// size, and one more for an empty object, of which S3 has no range. All ranges are of one version
// of the object (If-Match); one that is replaced meanwhile is read again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/store/s3_client.h"

namespace lambdaml::store {

struct S3Object {
  base::Blob value;
  std::string etag;  // in quotes, as S3 gives it
};

// The objects of the store's keys; result i belongs to keys[i] and is nothing if it is missing.
// Errors: as S3Client::Send; kResourceExhausted for one of more than size_max_bytes.
struct S3ReadSizes {
  uint64_t range_bytes;
  uint64_t object_max_bytes;
};
std::vector<std::optional<S3Object>> ReadS3Objects(S3Client& client,
                                                   std::span<const std::string> keys,
                                                   const S3ReadSizes& sizes,
                                                   const base::Deadline& deadline);

}  // namespace lambdaml::store
