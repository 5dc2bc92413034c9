#include "lambdaml/store/s3_writer.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/store/s3_xml.h"

namespace lambdaml::store {
namespace {

// For what must be tidied up although the deadline is past.
constexpr base::Duration kAbortTimeMax = std::chrono::seconds(5);
// Putting the parts together takes S3 up to minutes.
constexpr base::Duration kCompleteSilenceMax = std::chrono::minutes(5);

// One multipart upload. Aborted, unless completed, with the object.
class Upload {
 public:
  Upload(S3Client& client, const KeyValue& entry, const base::Deadline& deadline)
      : client_(client), entry_(entry), deadline_(deadline) {
    net::AwsRequest request = client.ObjectRequest("POST", "put", entry.key);
    request.query = {{"uploads", ""}};
    const net::AwsAnswer answer = client.Send(request, deadline);
    id_ = ParseS3UploadId(answer.response.body.text());
  }
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;
  ~Upload() {
    if (!is_complete_) Abort();
  }

  void SendParts(uint64_t part_bytes) {
    std::vector<net::AwsRequest> requests;
    for (uint64_t at = 0; at < entry_.value.size(); at += part_bytes) {
      net::AwsRequest request = client_.ObjectRequest("PUT", "put", entry_.key);
      request.query = {{"partNumber", fmt::format("{}", requests.size() + 1)}, {"uploadId", id_}};
      request.body = entry_.value.subspan(at, std::min(part_bytes, entry_.value.size() - at));
      requests.push_back(std::move(request));
    }
    for (const net::AwsAnswer& answer : client_.SendAll(requests, deadline_)) {
      const auto etag = answer.response.Header("ETag");
      if (!etag || etag->empty()) {
        throw base::Error(base::ErrorCode::kUnavailable,
                          fmt::format("{}: the answer has no ETag: is the endpoint an S3 server?",
                                      requests.front().operation));
      }
      etags_.emplace_back(*etag);
    }
  }

  void Complete() {
    const std::string body = WriteS3CompleteUpload(etags_);
    net::AwsRequest request =
        client_.ObjectRequest("POST", "put", entry_.key, {s3_code::kNoSuchUpload});
    request.query = {{"uploadId", id_}};
    request.body = base::AsBytes(body);
    request.silence_max = kCompleteSilenceMax;
    const net::AwsAnswer answer = client_.Send(request, deadline_);
    // Nobody else knows this upload. If it is gone and an earlier attempt got no answer, then that
    // attempt has completed it.
    if (answer.error_code == s3_code::kNoSuchUpload && answer.attempt_count == 1) {
      throw base::Error(base::ErrorCode::kUnavailable,
                        fmt::format("{}: the parts of the value have vanished before they were put "
                                    "together: does a lifecycle rule delete them too early?",
                                    request.operation));
    }
    is_complete_ = true;
  }

 private:
  void Abort() const {
    try {
      net::AwsRequest request = client_.ObjectRequest("DELETE", "abort the upload of", entry_.key,
                                                      {s3_code::kNoSuchUpload});
      request.query = {{"uploadId", id_}};
      client_.Send(request, base::Deadline::After(kAbortTimeMax, deadline_.clock()));
    } catch (const base::Error&) {
      // The error that is on its way says more. What is left, a lifecycle rule removes
      // (docs/channels.md).
    }
  }

  S3Client& client_;
  const KeyValue& entry_;
  const base::Deadline& deadline_;
  std::string id_;
  std::vector<std::string> etags_;
  bool is_complete_ = false;
};

net::AwsRequest PutRequest(const S3Client& client, std::string_view verb, const KeyValue& entry,
                           std::vector<std::string> expected = {}) {
  net::AwsRequest request = client.ObjectRequest("PUT", verb, entry.key, std::move(expected));
  request.body = entry.value;
  return request;
}

}  // namespace

void WriteS3Objects(S3Client& client, std::span<const KeyValue> entries, const S3WriteSizes& sizes,
                    const base::Deadline& deadline) {
  std::vector<net::AwsRequest> requests;
  for (const KeyValue& entry : entries) {
    if (entry.value.size() < sizes.multipart_min_bytes) {
      requests.push_back(PutRequest(client, "put", entry));
    }
  }
  if (!requests.empty()) client.SendAll(requests, deadline);
  for (const KeyValue& entry : entries) {
    if (entry.value.size() < sizes.multipart_min_bytes) continue;
    Upload upload(client, entry, deadline);
    upload.SendParts(sizes.part_bytes);
    upload.Complete();
  }
}

bool WriteS3ObjectIf(S3Client& client, std::string_view verb, const KeyValue& entry,
                     const net::HttpHeader& condition, const base::Deadline& deadline) {
  // If-None-Match fails with the former; If-Match with either, if the object is gone.
  net::AwsRequest request =
      PutRequest(client, verb, entry, {s3_code::kPreconditionFailed, s3_code::kNoSuchKey});
  request.headers.push_back(condition);
  return client.Send(request, deadline).error_code.empty();
}

}  // namespace lambdaml::store
