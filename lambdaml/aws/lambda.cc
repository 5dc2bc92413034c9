#include "lambdaml/aws/lambda.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

// Lambda's word for "there is none", of a function, its URL or its version.
constexpr const char* kNotFound = "ResourceNotFoundException";

std::string TextOf(const base::Json& json, std::string_view key) {
  const base::Json* found = json.Find(key);
  return found == nullptr || found->is_null() ? "" : found->AsString();
}

FunctionConfiguration ConfigurationOf(const base::Json& json) {
  FunctionConfiguration configuration = {.arn = json.At("FunctionArn").AsString(),
                                         .code_sha256 = json.At("CodeSha256").AsString(),
                                         .architecture = "x86_64",  // as it is where none is told
                                         .memory_mb = json.At("MemorySize").AsInteger(),
                                         .timeout_seconds = json.At("Timeout").AsInteger(),
                                         .state = TextOf(json, "State"),
                                         .state_reason = TextOf(json, "StateReason"),
                                         .last_update_status = TextOf(json, "LastUpdateStatus"),
                                         .vpc_id = {},
                                         .environment = {}};
  const base::Json* architectures = json.Find("Architectures");
  if (architectures != nullptr && !architectures->AsArray().empty()) {
    configuration.architecture = architectures->AsArray().front().AsString();
  }
  if (const base::Json* vpc = json.Find("VpcConfig")) configuration.vpc_id = TextOf(*vpc, "VpcId");
  const base::Json* environment = json.Find("Environment");
  const base::Json* variables = environment == nullptr ? nullptr : environment->Find("Variables");
  if (variables != nullptr) {
    for (const auto& [name, value] : variables->AsObject()) {
      configuration.environment[name] = value.AsString();
    }
  }
  return configuration;
}

// The value that `read` takes from an answer, whose gaps are the service's fault.
template <typename Read>
auto ReadAnswer(std::string_view operation, const Read& read) {
  try {
    return read();
  } catch (const base::Error& error) {
    throw base::Error(base::ErrorCode::kUnavailable,
                      fmt::format("{}: not the answer of AWS Lambda: {}: is it the service that "
                                  "the endpoint is meant for?",
                                  operation, error.message()));
  }
}

}  // namespace

Lambda::Lambda(const Session& session) : client_(session, "lambda") {}

JsonAnswer Lambda::Get(std::string operation, std::string path, const base::Deadline& deadline) {
  net::AwsRequest request;
  request.operation = std::move(operation);
  request.path = std::move(path);
  request.expected_errors = {kNotFound};
  return client_.Call(request, deadline);
}

std::optional<FunctionConfiguration> Lambda::GetFunctionConfiguration(
    const std::string& name, const base::Deadline& deadline) {
  const std::string operation = fmt::format("look at the function {}", name);
  const JsonAnswer answer =
      Get(operation, fmt::format("/2015-03-31/functions/{}/configuration", name), deadline);
  if (!answer.error_code.empty()) return std::nullopt;
  return ReadAnswer(operation, [&] { return ConfigurationOf(answer.body); });
}

std::optional<int64_t> Lambda::GetReservedConcurrency(const std::string& name,
                                                      const base::Deadline& deadline) {
  const std::string operation = fmt::format("look at the concurrency of the function {}", name);
  const JsonAnswer answer =
      Get(operation, fmt::format("/2019-09-30/functions/{}/concurrency", name), deadline);
  const base::Json* reserved =
      answer.body.is_object() ? answer.body.Find("ReservedConcurrentExecutions") : nullptr;
  if (reserved == nullptr || reserved->is_null()) return std::nullopt;
  return ReadAnswer(operation, [&] { return reserved->AsInteger(); });
}

AccountConcurrency Lambda::GetAccountSettings(const base::Deadline& deadline) {
  const std::string operation = "look at the account's quota of concurrent functions";
  const JsonAnswer answer = Get(operation, "/2016-08-19/account-settings/", deadline);
  return ReadAnswer(operation, [&] {
    const base::Json& limits = answer.body.At("AccountLimit");
    return AccountConcurrency{
        .limit = limits.At("ConcurrentExecutions").AsInteger(),
        .unreserved = limits.At("UnreservedConcurrentExecutions").AsInteger()};
  });
}

std::optional<std::string> Lambda::GetFunctionUrl(const std::string& name,
                                                  const base::Deadline& deadline) {
  const std::string operation = fmt::format("look at the URL of the function {}", name);
  const JsonAnswer answer =
      Get(operation, fmt::format("/2021-10-31/functions/{}/url", name), deadline);
  if (!answer.error_code.empty()) return std::nullopt;
  return ReadAnswer(operation, [&] { return answer.body.At("FunctionUrl").AsString(); });
}

}  // namespace lambdaml::aws
