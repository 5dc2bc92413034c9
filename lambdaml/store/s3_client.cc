#include "lambdaml/store/s3_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>
#include <variant>

#include "lambdaml/base/error.h"
#include "lambdaml/store/s3_xml.h"

namespace lambdaml::store {
namespace {

constexpr std::string_view kNoSuchBucket = "NoSuchBucket";
constexpr std::string_view kAccessDenied = "AccessDenied";

// What a request does, as prices and permissions know it.
enum class Action { kGetObject, kPutObject, kDeleteObject, kAbortUpload, kListBucket };

bool HasParameter(const net::AwsRequest& request, std::string_view name) {
  return std::ranges::any_of(request.query,
                             [&](const net::QueryParameter& given) { return given.name == name; });
}

Action ActionOf(const net::AwsRequest& request) {
  if (request.method == "GET") {
    return HasParameter(request, "list-type") ? Action::kListBucket : Action::kGetObject;
  }
  if (request.method == "DELETE") return Action::kAbortUpload;
  return HasParameter(request, "delete") ? Action::kDeleteObject : Action::kPutObject;
}

std::string PermissionFor(const net::AwsRequest& request, const S3Location& location) {
  const std::string bucket = fmt::format("arn:aws:s3:::{}", location.bucket);
  const std::string objects = fmt::format("{}/{}*", bucket, location.key_prefix);
  switch (ActionOf(request)) {
    case Action::kGetObject:
      // Without the second, S3 answers "denied" where a key is only missing.
      return fmt::format("s3:GetObject on {} and s3:ListBucket on {}", objects, bucket);
    case Action::kPutObject:
      return fmt::format("s3:PutObject on {}", objects);
    case Action::kDeleteObject:
      return fmt::format("s3:DeleteObject on {}", objects);
    case Action::kAbortUpload:
      return fmt::format("s3:AbortMultipartUpload on {}", objects);
    case Action::kListBucket:
      return fmt::format("s3:ListBucket on {}", bucket);
  }
  return "";
}

void Count(Meter& meter, const net::AwsRequest& request, const net::HttpOutcome& outcome,
           bool is_retry) {
  if (is_retry) meter.CountRetry();
  switch (ActionOf(request)) {
    case Action::kGetObject: {
      meter.CountGet();
      const auto* response = std::get_if<net::HttpResponse>(&outcome);
      if (response != nullptr && response->status / 100 == 2) {
        meter.CountBytesRead(response->body.size());
      }
      break;
    }
    case Action::kPutObject:
      meter.CountPut(request.body.size());
      break;
    case Action::kDeleteObject:
    case Action::kAbortUpload:
      meter.CountDelete(1);
      break;
    case Action::kListBucket:
      meter.CountList();
      break;
  }
}

// An object's bytes may look like an error and are none; but the operations that are a POST begin
// their answer with 200 before they have succeeded.
std::optional<net::ServiceError> ParseError(const net::AwsRequest& request,
                                            const net::HttpResponse& response) {
  const bool is_success = response.status / 100 == 2;
  if (is_success && request.method != "POST") return std::nullopt;
  const auto error = ParseS3Error(response.body.text());
  if (!error && is_success) return std::nullopt;
  const S3Error told = error.value_or(S3Error{});
  const std::string region(response.Header("x-amz-bucket-region").value_or(""));
  return net::ServiceError{.code = told.code,
                           .message = told.message,
                           .region = told.region.empty() ? region : told.region};
}

net::AwsClientOptions ClientOptions(const S3Location& location,
                                    std::shared_ptr<net::CredentialsProvider> credentials,
                                    base::Duration first_contact_max, Meter& meter) {
  net::AwsClientOptions options;
  options.first_contact_max = first_contact_max;
  options.service = "s3";
  options.region = location.region;
  options.endpoint = location.endpoint;
  options.credentials = std::move(credentials);
  options.parse_error = ParseError;
  // TLS protects bodies already, and hashing a large one costs as much as sending it. Without TLS
  // the hash is what finds a damaged or forged body.
  options.sign_payload = location.endpoint.starts_with("http://");
  options.on_attempt = [&meter](const net::AwsRequest& request, const net::HttpOutcome& outcome,
                                bool is_retry) { Count(meter, request, outcome, is_retry); };
  return options;
}

}  // namespace

S3Client::S3Client(const S3Location& location,
                   std::shared_ptr<net::CredentialsProvider> credentials, Meter& meter,
                   base::Duration first_contact_max)
    : location_(location),
      client_(ClientOptions(location, std::move(credentials), first_contact_max, meter)) {}

net::AwsRequest S3Client::Request(std::string_view method, std::string operation,
                                  std::string path) const {
  net::AwsRequest request;
  request.operation = std::move(operation);
  request.method = method;
  request.path = std::move(path);
  request.expected_errors = {std::string(kNoSuchBucket), std::string(kAccessDenied)};
  return request;
}

net::AwsRequest S3Client::ObjectRequest(std::string_view method, std::string_view verb,
                                        std::string_view key,
                                        std::vector<std::string> expected) const {
  net::AwsRequest request = Request(method, fmt::format("{} {} in {}", verb, key, location_.url),
                                    location_.path + ObjectKey(key));
  request.expected_errors.insert(request.expected_errors.end(), expected.begin(), expected.end());
  return request;
}

net::AwsRequest S3Client::BucketRequest(std::string_view method, std::string_view verb) const {
  // In path addressing "/bucket" and "/bucket/" are the same to S3, but not to every server of its
  // kind; the former is what they are tested with.
  std::string path = location_.path;
  if (path.size() > 1) path.pop_back();
  return Request(method, fmt::format("{} {}", verb, location_.url), std::move(path));
}

net::AwsAnswer S3Client::Send(const net::AwsRequest& request, const base::Deadline& deadline) {
  net::AwsAnswer answer = client_.Send(request, deadline);
  Check(request, answer);
  return answer;
}

std::vector<net::AwsAnswer> S3Client::SendAll(std::span<const net::AwsRequest> requests,
                                              const base::Deadline& deadline) {
  if (requests.size() == 1) {
    std::vector<net::AwsAnswer> answers;
    answers.push_back(Send(requests.front(), deadline));
    return answers;
  }
  std::vector<net::AwsAnswer> answers = client_.SendAll(requests, deadline);
  for (size_t i = 0; i < answers.size(); ++i) Check(requests[i], answers[i]);
  return answers;
}

void S3Client::Check(const net::AwsRequest& request, const net::AwsAnswer& answer) const {
  if (answer.error_code != kNoSuchBucket && answer.error_code != kAccessDenied) return;
  const auto error = ParseS3Error(answer.response.body.text());
  Fail(request, answer.error_code, error ? error->message : "");
}

void S3Client::Fail(const net::AwsRequest& request, std::string_view code,
                    std::string_view message) const {
  using base::ErrorCode;
  const std::string says =
      message.empty() ? std::string(code) : fmt::format("{}: {}", code, message);
  if (code == kNoSuchBucket) {
    throw base::Error(
        ErrorCode::kNotFound,
        fmt::format("{}: the bucket {} does not exist at {}: create it, or correct the bucket, the "
                    "region or the endpoint",
                    request.operation, location_.bucket, client_.authority()));
  }
  if (code == kAccessDenied) {
    // Servers that are not Amazon's may answer so to a wrong secret, too.
    const std::string_view other_cause =
        location_.is_custom_endpoint ? "; or access key and secret are not a pair it knows" : "";
    throw base::Error(
        ErrorCode::kPermissionDenied,
        fmt::format("{}: {} denies access ({}): the credentials need {}{}", request.operation,
                    client_.authority(), says, PermissionFor(request, location_), other_cause));
  }
  throw base::Error(ErrorCode::kUnavailable,
                    fmt::format("{}: {} answers {}", request.operation, client_.authority(), says));
}

}  // namespace lambdaml::store
