// The XML that S3 speaks: reading its answers, writing the bodies of requests. Pure functions.
//
// Parsing takes nothing but the document it expects; entities of a document's own and external ones
// do not exist for it. Errors of each: kUnavailable, saying what is wrong, without the text.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml::store {

struct S3Error {
  std::string code;
  std::string message;
  std::string region;  // where the bucket is, if it says so
};

// <Error>, which may come with any status; nothing if the document is something else.
std::optional<S3Error> ParseS3Error(std::string_view xml);

struct S3ListPage {
  std::vector<std::string> keys;  // whole object keys
  std::string next_token;         // "" on the last page
};

// <ListBucketResult> of ListObjectsV2, asked with encoding-type=url.
S3ListPage ParseS3ListPage(std::string_view xml);

// The upload's id in <InitiateMultipartUploadResult>.
std::string ParseS3UploadId(std::string_view xml);

struct S3DeleteFailure {
  std::string key;  // whole object key
  S3Error error;
};

// The keys that were not deleted, of <DeleteResult>.
std::vector<S3DeleteFailure> ParseS3DeleteResult(std::string_view xml);

// <Delete> of whole object keys; the answer need not name those that are gone.
std::string WriteS3Delete(std::span<const std::string> keys);

// <CompleteMultipartUpload> of parts 1, 2, … by their ETags.
std::string WriteS3CompleteUpload(std::span<const std::string> etags);

}  // namespace lambdaml::store
