#include "lambdaml/net/aws_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/net/url.h"

namespace lambdaml::net {

using base::Error;
using base::ErrorCode;

struct AwsClient::Call {
  const AwsRequest* request = nullptr;
  std::string path;  // the endpoint's and the request's
  std::string payload_hash;
  bool has_renewed_credentials = false;
  base::Duration retry_after = {};
  std::optional<Error> failure;  // of the last attempt
  bool is_answered = false;
  AwsAnswer answer = {.response = {}, .error_code = {}, .attempt_count = 0};
};

AwsClient::AwsClient(AwsClientOptions options)
    : options_(std::move(options)), http_(options_.http), next_seed_(std::random_device()()) {
  LAMBDAML_CHECK(options_.credentials != nullptr && options_.parse_error != nullptr);
  const HttpUrl url = ParseHttpUrl(options_.endpoint);
  const bool is_plain_path = EncodePath(url.path) == url.path;
  if (url.has_query || !is_plain_path) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the endpoint {}: its path must be plain, and without a query",
                            url.authority()));
  }
  base_path_ = url.path;
  while (base_path_.ends_with('/')) base_path_.pop_back();
  host_ = url.host_header();
  authority_ = url.authority();
  base_url_ = (url.is_https ? "https://" : "http://") + host_;
}

AwsAnswer AwsClient::Send(const AwsRequest& request, const base::Deadline& deadline) {
  return std::move(SendAll(std::span(&request, 1), deadline).front());
}

std::vector<AwsAnswer> AwsClient::SendAll(std::span<const AwsRequest> requests,
                                          const base::Deadline& deadline) {
  std::vector<Call> calls(requests.size());
  std::vector<Call*> open;
  for (size_t i = 0; i < requests.size(); ++i) {
    calls[i].request = &requests[i];
    calls[i].path = base_path_ + requests[i].path;
    calls[i].payload_hash =
        options_.sign_payload ? Hex(Sha256(requests[i].body)) : std::string(kUnsignedPayload);
    open.push_back(&calls[i]);
  }
  std::optional<Retry> retry;
  while (!open.empty()) {
    const size_t open_before = open.size();
    SendOnce(open, deadline);
    std::erase_if(open, [](const Call* call) { return call->is_answered; });
    if (open.empty()) break;
    // As long as some get through there is no outage.
    if (!retry || open.size() < open_before) {
      retry.emplace(deadline, next_seed_.fetch_add(1),
                    has_answered_ ? options_.outage_max : options_.first_contact_max);
    }
    base::Duration pause_min = {};
    for (const Call* call : open) pause_min = std::max(pause_min, call->retry_after);
    if (!retry->Again(pause_min)) throw GaveUp(*open.front());
  }
  std::vector<AwsAnswer> answers;
  answers.reserve(calls.size());
  for (Call& call : calls) answers.push_back(std::move(call.answer));
  return answers;
}

// One attempt of each, at once.
void AwsClient::SendOnce(std::span<Call* const> calls, const base::Deadline& deadline) {
  const Credentials credentials = options_.credentials->Get(deadline);
  std::vector<HttpRequest> prepared;
  prepared.reserve(calls.size());
  for (const Call* call : calls) prepared.push_back(Prepare(*call, credentials));
  std::vector<HttpOutcome> outcomes = http_.SendAll(prepared, deadline);
  for (size_t i = 0; i < calls.size(); ++i) {
    const bool is_retry = ++calls[i]->answer.attempt_count > 1;
    if (std::holds_alternative<HttpResponse>(outcomes[i])) has_answered_ = true;
    if (options_.on_attempt) options_.on_attempt(*calls[i]->request, outcomes[i], is_retry);
  }
  for (size_t i = 0; i < calls.size(); ++i) Judge(*calls[i], std::move(outcomes[i]), credentials);
}

HttpRequest AwsClient::Prepare(const Call& call, const Credentials& credentials) const {
  const AwsRequest& request = *call.request;
  HttpRequest prepared;
  prepared.method = request.method;
  prepared.url = base_url_ + EncodePath(call.path);
  if (!request.query.empty()) prepared.url += '?' + EncodeQuery(request.query);
  prepared.body = request.body;
  prepared.destination = request.destination;
  prepared.response_size_max_bytes = request.response_size_max_bytes;
  prepared.silence_max = request.silence_max;
  prepared.cancelled = request.cancelled;
  prepared.headers = Sign({.method = request.method,
                           .host = host_,
                           .path = call.path,
                           .query = request.query,
                           .headers = request.headers,
                           .payload_hash = call.payload_hash},
                          {.region = options_.region, .service = options_.service}, credentials,
                          std::chrono::system_clock::now());
  prepared.headers.push_back({"Host", host_});
  prepared.headers.insert(prepared.headers.end(), request.headers.begin(), request.headers.end());
  return prepared;
}

// Takes the outcome as the call's answer, or as a failure that is worth another attempt; throws
// what is neither.
void AwsClient::Judge(Call& call, HttpOutcome outcome, const Credentials& credentials) const {
  const AwsRequest& request = *call.request;
  call.retry_after = {};
  if (const auto* const error = std::get_if<Error>(&outcome)) {
    const bool is_late = error->code() == ErrorCode::kDeadlineExceeded;
    const std::string before =
        is_late && call.failure ? " (before: " + call.failure->message() + ")" : "";
    call.failure = Error(error->code(), request.operation + ": " + error->message() + before);
    const bool may_pass = error->code() == ErrorCode::kUnavailable && request.may_repeat_lost;
    if (!may_pass) throw *call.failure;
    return;
  }
  auto& response = std::get<HttpResponse>(outcome);
  std::optional<ServiceError> error = options_.parse_error(request, response);
  if (!error && response.status / 100 != 2) error.emplace();
  const auto& expected = request.expected_errors;
  const bool is_expected =
      error && std::find(expected.begin(), expected.end(), error->code) != expected.end();
  if (!error || is_expected) {
    if (error) call.answer.error_code = error->code;
    call.answer.response = std::move(response);
    call.is_answered = true;
    return;
  }
  call.failure = ExplainFailure({.operation = request.operation,
                                 .authority = authority_,
                                 .region = options_.region,
                                 .now = std::chrono::system_clock::now()},
                                response, *error);
  call.retry_after = RetryAfter(response);
  if (MayPass(response.status, error->code)) return;
  const bool may_renew = IsExpiredToken(error->code) && !call.has_renewed_credentials &&
                         options_.credentials->Renew(credentials);
  if (!may_renew) throw *call.failure;
  call.has_renewed_credentials = true;
}

// The error of a call that has used up its time.
base::Error AwsClient::GaveUp(const Call& call) const {
  const int attempt_count = call.answer.attempt_count;
  return {call.failure->code(), fmt::format("{} (after {} attempt{})", call.failure->message(),
                                            attempt_count, attempt_count == 1 ? "" : "s")};
}

}  // namespace lambdaml::net
