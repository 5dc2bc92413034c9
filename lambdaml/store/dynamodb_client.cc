#include "lambdaml/store/dynamodb_client.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::store {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;

constexpr std::string_view kResourceNotFound = "ResourceNotFoundException";
constexpr std::string_view kValidation = "ValidationException";
constexpr std::string_view kTarget = "X-Amz-Target";
constexpr std::string_view kTargetPrefix = "DynamoDB_20120810.";
// Answers hold 16 MB of items at most, plus a third for base64 and names.
constexpr uint64_t kAnswerSizeMaxBytes = 64 << 20;

std::string TextOf(const Json& json, std::string_view name) {
  const Json* value = json.Find(name);
  return value != nullptr && value->is_string() ? value->AsString() : std::string();
}

// As in {"__type":"com.amazonaws.dynamodb.v20120810#SomeException","message":"…"}
std::optional<net::ServiceError> ParseError(const net::AwsRequest&,
                                            const net::HttpResponse& response) {
  if (response.status / 100 == 2) return std::nullopt;
  try {
    const Json json = Json::Parse(response.body.text(), "error");
    const std::string type = TextOf(json, "__type");
    if (type.empty()) return std::nullopt;
    const std::string message = TextOf(json, "message");
    return net::ServiceError{.code = type.substr(type.find('#') + 1),
                             .message = message.empty() ? TextOf(json, "Message") : message,
                             .region = {}};
  } catch (const Error&) {
    return std::nullopt;  // a proxy's words: the status says enough
  }
}

void CountAttempt(const net::AwsRequest& request, bool is_retry, Meter& meter) {
  const auto target = net::FindHeader(request.headers, kTarget);
  LAMBDAML_CHECK(target);
  const std::string_view action = target->substr(kTargetPrefix.size());
  if (is_retry) meter.CountRetry();
  if (request.operation.starts_with(DynamoDbCall::kDelete)) {
    meter.CountDelete(1);
  } else if (action == "GetItem" || action == "BatchGetItem") {
    meter.CountGet();
  } else if (action == "PutItem" || action == "BatchWriteItem") {
    meter.CountPut(0);
  } else if (action == "Scan") {
    meter.CountList();
  }
}

// The sum over tables. {"ConsumedCapacity":{"CapacityUnits":1.0,…}} or a list of such.
std::optional<uint64_t> UnitsOf(const Json& json) {
  const Json* consumed = json.Find("ConsumedCapacity");
  if (consumed == nullptr) return std::nullopt;
  const Json::Array tables = consumed->is_array() ? consumed->AsArray() : Json::Array{*consumed};
  double sum = 0;
  for (const Json& table : tables) {
    const Json* units = table.is_object() ? table.Find("CapacityUnits") : nullptr;
    if (units == nullptr || !units->is_number()) return std::nullopt;
    sum += units->AsNumber();
  }
  constexpr double kPlausibleMax = 1e9;
  if (!(sum >= 0 && sum <= kPlausibleMax)) return std::nullopt;
  return static_cast<uint64_t>(std::ceil(sum));
}

net::AwsClientOptions ClientOptions(const net::AwsConfig& config,
                                    std::shared_ptr<net::CredentialsProvider> credentials,
                                    base::Duration first_contact_max, Meter& meter) {
  net::AwsClientOptions client;
  client.first_contact_max = first_contact_max;
  client.service = "dynamodb";
  client.region = config.region;
  client.endpoint = config.endpoint;
  client.credentials = std::move(credentials);
  client.parse_error = ParseError;
  client.on_attempt = [&meter](const net::AwsRequest& request, const net::HttpOutcome&,
                               bool is_retry) { CountAttempt(request, is_retry, meter); };
  client.http.connection_count_max = static_cast<int>(DynamoDbClient::kCallsAtOnceMax);
  return client;
}

net::AwsRequest RequestOf(const DynamoDbCall& call) {
  net::AwsRequest request;
  request.operation = call.operation;
  request.method = "POST";
  request.headers = {{"Content-Type", "application/x-amz-json-1.0"},
                     {std::string(kTarget), fmt::format("{}{}", kTargetPrefix, call.action)}};
  request.body = base::AsBytes(call.body);
  request.response_size_max_bytes = kAnswerSizeMaxBytes;
  request.expected_errors = call.expected_errors;
  request.expected_errors.emplace_back(kResourceNotFound);
  request.expected_errors.emplace_back(kValidation);
  return request;
}

}  // namespace

DynamoDbClient::DynamoDbClient(const DynamoDbOptions& options,
                               std::shared_ptr<net::CredentialsProvider> credentials, Meter& meter,
                               base::Duration first_contact_max)
    : options_(options),
      config_(net::ResolveAwsConfig("dynamodb", options.aws)),
      aws_(ClientOptions(config_, std::move(credentials), first_contact_max, meter)) {}

DynamoDbAnswer DynamoDbClient::Call(const DynamoDbCall& call, const base::Deadline& deadline) {
  return std::move(CallAll({&call, 1}, deadline).front());
}

std::vector<DynamoDbAnswer> DynamoDbClient::CallAll(std::span<const DynamoDbCall> calls,
                                                    const base::Deadline& deadline) {
  LAMBDAML_CHECK(calls.size() <= kCallsAtOnceMax);
  std::vector<net::AwsRequest> requests;
  requests.reserve(calls.size());
  for (const DynamoDbCall& call : calls) requests.push_back(RequestOf(call));
  std::vector<DynamoDbAnswer> answers;
  answers.reserve(calls.size());
  for (net::AwsAnswer& answer : aws_.SendAll(requests, deadline)) {
    const DynamoDbCall& call = calls[answers.size()];
    DynamoDbJson json(std::move(answer.response.body), call.operation);
    CheckExpected(call, answer, json.root());
    const auto units = answer.error_code.empty() ? UnitsOf(json.root()) : std::nullopt;
    answers.push_back({std::move(answer.error_code), answer.attempt_count, std::move(json), units});
  }
  return answers;
}

void DynamoDbClient::CheckExpected(const DynamoDbCall& call, const net::AwsAnswer& answer,
                                   const Json& json) const {
  const std::string& code = answer.error_code;
  if (code.empty() || std::ranges::find(call.expected_errors, code) != call.expected_errors.end()) {
    return;
  }
  if (code == kResourceNotFound) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: {} in {} at {}; add create=true to the URL's parameters, or: aws "
                            "dynamodb create-table --billing-mode PAY_PER_REQUEST --key-schema "
                            "AttributeName={},KeyType=HASH --attribute-definitions "
                            "AttributeName={},AttributeType=S --table-name {}",
                            call.operation,
                            options_.Tables().size() == 1 ? "there is no such table"
                                                          : "one of these tables does not exist",
                            config_.region, config_.endpoint, options_.key_col, options_.key_col,
                            fmt::join(options_.Tables(), "|")));
  }
  const std::string message = TextOf(json, "message");
  const bool is_about_key = message.find("key") != message.npos;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}: refused: {}{}", call.operation, message,
                          is_about_key ? fmt::format(" (key_col is \"{}\": it must be the tables' "
                                                     "partition key, a string, without sort key)",
                                                     options_.key_col)
                                       : ""));
}

}  // namespace lambdaml::store
