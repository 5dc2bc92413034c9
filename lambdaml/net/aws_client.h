// Signed requests to one AWS service, or to one that speaks its protocol, tried again while it
// makes sense.
//
// Tried again, with jittered back-off until the deadline or for outage_max without any success: no
// connection, a lost one, silence, 429, 500, 502, 503, 504, and the codes by which services say
// "not now" (SlowDown, ThrottlingException, …). Expired credentials are renewed once. Everything
// else ends at once, in an Error that names operation, host:port and cause and says what to do: a
// wrong clock, key, secret, region, bucket or permission.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/net/aws_error.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/net/sigv4.h"

namespace lambdaml::net {

// What the spans point to must live until the request has been answered.
struct AwsRequest {
  std::string operation;  // for messages: "get s3://bucket/key"
  std::string method = "GET";
  std::string path = "/";                  // below the endpoint's, not encoded
  std::vector<QueryParameter> query = {};  // not encoded
  std::vector<HttpHeader> headers = {};    // all of them are signed
  base::ByteSpan body = {};
  std::span<std::byte> destination = {};  // as in HttpRequest
  uint64_t response_size_max_bytes = HttpRequest{}.response_size_max_bytes;
  base::Duration silence_max = HttpRequest{}.silence_max;
  const std::atomic<bool>* cancelled = nullptr;  // as in HttpRequest
  // False: not made again when an attempt has been lost, because it may have had its effect.
  bool may_repeat_lost = true;
  // Codes of errors that are an answer like any other, such as NoSuchKey.
  std::vector<std::string> expected_errors = {};
};

struct AwsAnswer {
  HttpResponse response;
  std::string error_code;  // empty: success; else one of expected_errors
  int attempt_count = 1;   // above 1, an earlier attempt may have had its effect already
};

struct AwsClientOptions {
  std::string service;  // as in signatures: "s3", "dynamodb", "lambda"
  std::string region;
  std::string endpoint;  // http(s)://host[:port][/path]
  std::shared_ptr<CredentialsProvider> credentials;
  // Reads a failure out of an answer of any status, as the service writes it (XML, JSON); nothing
  // if it is none. An answer that is not 2xx and of which it says nothing is a failure without
  // code.
  std::function<std::optional<ServiceError>(const AwsRequest&, const HttpResponse&)> parse_error;
  // S3 only: false leaves bodies out of the signature, as is usual over TLS, which protects them.
  bool sign_payload = true;
  // Called for every attempt once it is over, on the thread of the call: each is billed.
  std::function<void(const AwsRequest&, const HttpOutcome&, bool is_retry)> on_attempt = {};
  HttpClientOptions http = {};
  // How long the service may stay away, and how long while it has never answered this client.
  base::Duration outage_max = kOutageMax;
  base::Duration first_contact_max = kOutageMax;
};

// Threads: any, at once.
class AwsClient {
 public:
  // Errors: kInvalidArgument for a malformed endpoint.
  explicit AwsClient(AwsClientOptions options);

  // "host:port" of the endpoint.
  const std::string& authority() const { return authority_; }

  // Errors: kUnavailable, kDeadlineExceeded, kCancelled, kPermissionDenied (credentials,
  // permission, clock), kNotFound (a code NoSuch… or …NotFound…), kResourceExhausted (quota, answer
  // too large), kInvalidArgument (region, or a request that the service refuses).
  AwsAnswer Send(const AwsRequest& request, const base::Deadline& deadline);

  // In parallel; answer i belongs to requests[i]. When one fails for good, the others are brought
  // to the end of their current attempt, and its Error is thrown.
  std::vector<AwsAnswer> SendAll(std::span<const AwsRequest> requests,
                                 const base::Deadline& deadline);

 private:
  struct Call;  // one request on its way

  void SendOnce(std::span<Call* const> calls, const base::Deadline& deadline);
  HttpRequest Prepare(const Call& call, const Credentials& credentials) const;
  void Judge(Call& call, HttpOutcome outcome, const Credentials& credentials) const;
  base::Error GaveUp(const Call& call) const;

  const AwsClientOptions options_;
  HttpClient http_;
  std::string base_url_;   // scheme://host[:port]
  std::string base_path_;  // of the endpoint, without a trailing slash
  std::string host_;       // as in the Host header
  std::string authority_;
  std::atomic<uint64_t> next_seed_;
  std::atomic<bool> has_answered_{false};
};

}  // namespace lambdaml::net
