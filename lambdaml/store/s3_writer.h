// Writing objects: small ones in one request, large ones in parts side by side (multipart upload).
//
// Cost: one PUT; for a multipart upload one for each part and two more.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/store/s3_client.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

struct S3WriteSizes {
  uint64_t multipart_min_bytes;  // smaller values go in one request
  uint64_t part_bytes;           // at least 5 MiB at Amazon
};

// Writes or replaces the objects of the store's keys. Errors: as S3Client::Send. A multipart upload
// that fails is aborted, since its parts would be paid for until somebody does.
void WriteS3Objects(S3Client& client, std::span<const KeyValue> entries, const S3WriteSizes& sizes,
                    const base::Deadline& deadline);

// Writes under a condition (If-None-Match, If-Match), always in one request: not every server heeds
// conditions at the end of a multipart upload. False if the condition does not hold, or did not
// hold any more when an attempt was repeated whose answer had been lost.
bool WriteS3ObjectIf(S3Client& client, std::string_view verb, const KeyValue& entry,
                     const net::HttpHeader& condition, const base::Deadline& deadline);

}  // namespace lambdaml::store
