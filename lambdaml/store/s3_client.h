// Requests on one bucket: built, sent, counted, and their failures said in S3's words.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/net/aws_client.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/s3_location.h"

namespace lambdaml::store {

// Codes of S3 that are answers in some operations.
namespace s3_code {
inline constexpr const char* kNoSuchKey = "NoSuchKey";
inline constexpr const char* kNoSuchUpload = "NoSuchUpload";
inline constexpr const char* kInvalidRange = "InvalidRange";
inline constexpr const char* kPreconditionFailed = "PreconditionFailed";
}  // namespace s3_code

// Threads: any, at once.
class S3Client {
 public:
  // Counts every attempt in `meter`, which must outlive the client.
  S3Client(const S3Location& location, std::shared_ptr<net::CredentialsProvider> credentials,
           Meter& meter, base::Duration first_contact_max);

  const S3Location& location() const { return location_; }
  // The whole object key of a store's key.
  std::string ObjectKey(std::string_view key) const {
    return location_.key_prefix + std::string(key);
  }

  // A request on the object of a store's key. verb: for messages, "get". expected: codes that are
  // an answer, not a failure.
  net::AwsRequest ObjectRequest(std::string_view method, std::string_view verb,
                                std::string_view key, std::vector<std::string> expected = {}) const;
  // A request on the bucket.
  net::AwsRequest BucketRequest(std::string_view method, std::string_view verb) const;

  // As AwsClient's. Besides its Errors: kNotFound, if the bucket does not exist; kPermissionDenied,
  // naming the permission that is missing.
  net::AwsAnswer Send(const net::AwsRequest& request, const base::Deadline& deadline);
  std::vector<net::AwsAnswer> SendAll(std::span<const net::AwsRequest> requests,
                                      const base::Deadline& deadline);

  // Throws the Error for a failure that an answer holds for one key.
  [[noreturn]] void Fail(const net::AwsRequest& request, std::string_view code,
                         std::string_view message) const;

 private:
  net::AwsRequest Request(std::string_view method, std::string operation, std::string path) const;
  void Check(const net::AwsRequest& request, const net::AwsAnswer& answer) const;

  const S3Location location_;
  net::AwsClient client_;
};

}  // namespace lambdaml::store
