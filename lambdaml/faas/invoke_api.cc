#include "lambdaml/faas/invoke_api.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

struct ApiError {
  int status;
  std::string_view type;   // x-amzn-ErrorType
  std::string_view blame;  // "User" or "Service"
  std::string_view message;
};

HttpResponse ErrorResponse(const std::string& request_id, const ApiError& error) {
  base::Json body;
  body.Set("Type", error.blame);
  body.Set("message", error.message);
  return {.status = error.status,
          .headers = {{"Content-Type", "application/json"},
                      {"x-amzn-RequestId", request_id},
                      {"x-amzn-ErrorType", std::string(error.type)}},
          .body = body.Dump()};
}

// Undoes %-escapes; nothing if one is malformed.
std::optional<std::string> DecodePercent(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    const std::string_view digits = text.substr(i + 1, 2);
    unsigned value = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || end != digits.data() + 2 || error != std::errc()) return {};
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

// The function's name in an Invoke request's target, or nothing if it is another operation.
std::optional<std::string> FunctionName(std::string_view target) {
  const std::string_view path = target.substr(0, target.find('?'));
  if (!path.starts_with(kInvokePrefix) || !path.ends_with(kInvokeSuffix) ||
      path.size() <= kInvokePrefix.size() + kInvokeSuffix.size()) {
    return {};
  }
  const size_t size = path.size() - kInvokePrefix.size() - kInvokeSuffix.size();
  return DecodePercent(path.substr(kInvokePrefix.size(), size));
}

// What ListFunctions and GetFunctionConfiguration tell of a function.
base::Json ConfigurationOf(const FunctionConfig& config) {
  base::Json json;
  json.Set("FunctionName", config.name);
  json.Set("FunctionArn", FunctionArn(config.name));
  json.Set("Runtime", "provided.al2023");
  json.Set("Handler", config.program);
  json.Set("MemorySize", config.memory_mb);
  json.Set("Timeout", static_cast<int64_t>(base::Seconds(config.timeout)));
  json.Set("Version", "$LATEST");
  json.Set("PackageType", "Zip");
  json.Set("State", "Active");
  json.Set("LastUpdateStatus", "Successful");
  return json;
}

HttpResponse JsonResponse(const base::Json& body) {
  return {.status = 200,
          .headers = {{"Content-Type", "application/json"}, {"x-amzn-RequestId", NewRequestId()}},
          .body = body.Dump()};
}

HttpResponse NoSuchFunction(std::string_view name) {
  return ErrorResponse(NewRequestId(), {404, "ResourceNotFoundException", "User",
                                        fmt::format("Function not found: {}", FunctionArn(name))});
}

std::string NewTraceId(const std::string& request_id) {
  return fmt::format("Root=1-{}-{};Sampled=0", request_id.substr(0, 8), RandomHex(24));
}

HttpResponse OutcomeResponse(const std::string& request_id, bool with_log,
                             InvocationOutcome outcome) {
  if (outcome.kind == InvocationOutcome::Kind::kPlatformError) {
    return ErrorResponse(request_id, {500, "ServiceException", "Service", outcome.payload});
  }
  if (outcome.kind == InvocationOutcome::Kind::kShutdown) {
    return ErrorResponse(
        request_id, {503, kShutdownErrorType, "Service", "the local platform is shutting down"});
  }
  HttpResponse response = {.status = 200,
                           .headers = {{"Content-Type", "application/json"},
                                       {"x-amzn-RequestId", request_id},
                                       {"X-Amz-Executed-Version", "$LATEST"}},
                           .body = std::move(outcome.payload)};
  if (outcome.kind == InvocationOutcome::Kind::kFunctionError) {
    response.headers.push_back({"X-Amz-Function-Error", "Unhandled"});
  }
  if (with_log) {
    response.headers.push_back({"X-Amz-Log-Result", EncodeBase64(outcome.log_tail)});
  }
  return response;
}

// What is wrong with a request to invoke, before any function is asked.
std::optional<HttpResponse> CheckRequest(const std::string& request_id, const HttpRequest& request,
                                         std::string_view type) {
  if (type != "RequestResponse" && type != "Event" && type != "DryRun") {
    return ErrorResponse(request_id,
                         {400, "InvalidParameterValueException", "User",
                          "X-Amz-Invocation-Type must be one of RequestResponse, Event, DryRun"});
  }
  const size_t size_max = type == "Event" ? kEventRequestSizeMaxBytes : kSyncRequestSizeMaxBytes;
  if (request.body.size() > size_max) {
    return ErrorResponse(
        request_id,
        {413, "RequestEntityTooLargeException", "User",
         fmt::format("Request must be smaller than {} bytes for the InvokeFunction operation",
                     size_max)});
  }
  try {
    if (!request.body.empty()) base::Json::Parse(request.body, "payload");
  } catch (const base::Error& error) {
    return ErrorResponse(
        request_id, {400, "InvalidRequestContentException", "User",
                     fmt::format("Could not parse request body into json: {}", error.message())});
  }
  return {};
}

}  // namespace

InvokeApi::InvokeApi(EventLoop& loop, const FunctionMap& functions)
    : functions_(functions),
      server_(loop, [this](const HttpRequest& request, const HttpServer::Respond& respond) {
        OnRequest(request, respond);
      }) {}

// Of a GET: all functions, or one of them.
void InvokeApi::Describe(const HttpRequest& request, const HttpServer::Respond& respond) const {
  constexpr std::string_view kConfigurationSuffix = "/configuration";
  std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  const bool is_list = path.size() <= kInvokePrefix.size();  // with a final '/' or without
  if (is_list) {
    base::Json list = base::Json::EmptyArray();
    for (const auto& [name, function] : functions_)
      list.Append(ConfigurationOf(function->config()));
    base::Json body;
    body.Set("Functions", std::move(list));
    return respond(JsonResponse(body));
  }
  path.remove_prefix(std::min(path.size(), kInvokePrefix.size()));
  const bool is_configuration = path.ends_with(kConfigurationSuffix);
  if (is_configuration) path.remove_suffix(kConfigurationSuffix.size());
  const std::string name = DecodePercent(path).value_or("");
  const auto function = functions_.find(name);
  if (function == functions_.end()) return respond(NoSuchFunction(name));
  const base::Json configuration = ConfigurationOf(function->second->config());
  if (is_configuration) return respond(JsonResponse(configuration));
  base::Json body;
  body.Set("Configuration", configuration);
  respond(JsonResponse(body));
}

void InvokeApi::OnRequest(const HttpRequest& request, const HttpServer::Respond& respond) const {
  const std::string_view target = request.target;
  const bool is_description = request.method == "GET" &&
                              target.starts_with(kInvokePrefix.substr(0, kInvokePrefix.size() - 1));
  if (is_description) return Describe(request, respond);
  const std::optional<std::string> name = FunctionName(request.target);
  if (!name || request.method != "POST") {
    return respond(ErrorResponse(NewRequestId(),
                                 {404, "UnknownOperationException", "User",
                                  "the operation is none of Invoke, ListFunctions, GetFunction"}));
  }
  const auto function = functions_.find(*name);
  if (function == functions_.end()) return respond(NoSuchFunction(*name));
  Invoke(*function->second, request, respond);
}

void InvokeApi::Invoke(LocalFunction& function, const HttpRequest& request,
                       const HttpServer::Respond& respond) const {
  const std::string request_id = NewRequestId();
  std::string_view type = FindHeader(request.headers, "X-Amz-Invocation-Type");
  if (type.empty()) type = "RequestResponse";
  if (auto refusal = CheckRequest(request_id, request, type)) {
    return respond(std::move(*refusal));
  }
  if (type == "DryRun") {
    return respond({.status = 204, .headers = {{"x-amzn-RequestId", request_id}}, .body = {}});
  }
  AcceptedInvocation invocation = {.request_id = request_id,
                                   .payload = request.body.empty() ? "{}" : request.body,
                                   .trace_id = NewTraceId(request_id),
                                   .attempt = 1,
                                   .done = {}};
  if (type == "Event") {
    function.InvokeEvent(std::move(invocation));
    return respond({.status = 202, .headers = {{"x-amzn-RequestId", request_id}}, .body = {}});
  }
  const bool with_log = FindHeader(request.headers, "X-Amz-Log-Type") == "Tail";
  invocation.done = [respond, request_id, with_log](InvocationOutcome outcome) {
    respond(OutcomeResponse(request_id, with_log, std::move(outcome)));
  };
  if (!function.Invoke(std::move(invocation))) {
    respond(ErrorResponse(request_id, {429, "TooManyRequestsException", "User", "Rate Exceeded."}));
  }
}

}  // namespace lambdaml::faas
