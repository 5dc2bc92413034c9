#include "lambdaml/faas/runtime.h"

#include <charconv>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <string_view>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/http_client.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

// For posts: the API is on the same machine, so one that takes this long is gone.
constexpr base::Duration kPostTimeout = std::chrono::seconds(60);
constexpr base::Duration kInitErrorTimeout = std::chrono::seconds(5);

struct Outcome {
  bool failed = false;
  std::string error_type;
  std::string body;
};

Outcome Failure(std::string_view error_type, std::string_view message) {
  return {.failed = true,
          .error_type = std::string(error_type),
          .body = FunctionErrorBody(error_type, message, /*with_stack_trace=*/true)};
}

// The worker's boundary: whatever the handler throws becomes an answer.
Outcome RunHandler(const Handler& handler, const Invocation& invocation) {
  try {
    std::string response = handler(invocation);
    if (response.size() > kResponseSizeMaxBytes) {
      return Failure(kResponseTooLargeType, ResponseTooLargeMessage(response.size()));
    }
    return {.failed = false, .error_type = {}, .body = std::move(response)};
  } catch (const Error& error) {
    return Failure(base::ErrorCodeName(error.code()), error.message());
  } catch (const std::bad_alloc&) {
    return Failure(base::ErrorCodeName(ErrorCode::kResourceExhausted),
                   "the function's memory is exhausted: std::bad_alloc");
  } catch (const std::exception& error) {
    return Failure(base::ErrorCodeName(ErrorCode::kInternal), error.what());
  } catch (...) {
    return Failure(base::ErrorCodeName(ErrorCode::kInternal), "an exception of an unknown type");
  }
}

long long ParseDeadlineMs(std::string_view text) {
  long long epoch_ms = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), epoch_ms);
  if (error != std::errc() || end != text.data() + text.size() || epoch_ms < 0) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("Runtime API: malformed Lambda-Runtime-Deadline-Ms \"{}\"", text));
  }
  return epoch_ms;
}

Invocation FetchNext(HttpConnection& connection) {
  const HttpRequest request = {
      .method = "GET", .target = std::string(kRuntimeNextPath), .headers = {}, .body = {}};
  HttpResponse response = connection.Exchange(request, std::nullopt, /*repeatable=*/true);
  const std::string_view request_id = FindHeader(response.headers, "Lambda-Runtime-Aws-Request-Id");
  if (response.status != 200 || request_id.empty()) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("Runtime API: GET {}: HTTP {}: {}", request.target, response.status,
                            response.body));
  }
  return {.request_id = std::string(request_id),
          .payload = std::move(response.body),
          .deadline = base::Deadline::AtEpochMs(
              ParseDeadlineMs(FindHeader(response.headers, "Lambda-Runtime-Deadline-Ms"))),
          .function_arn =
              std::string(FindHeader(response.headers, "Lambda-Runtime-Invoked-Function-Arn")),
          .trace_id = std::string(FindHeader(response.headers, "Lambda-Runtime-Trace-Id"))};
}

HttpRequest ErrorPost(std::string target, const std::string& error_type, std::string body) {
  return {.method = "POST",
          .target = std::move(target),
          .headers = {{"Content-Type", "application/json"},
                      {std::string(kFunctionErrorTypeHeader), error_type}},
          .body = std::move(body)};
}

void PostOutcome(HttpConnection& connection, const std::string& request_id, Outcome outcome) {
  const std::string path = fmt::format("{}{}/", kRuntimeInvocationPrefix, request_id);
  const HttpRequest request =
      outcome.failed ? ErrorPost(path + "error", outcome.error_type, std::move(outcome.body))
                     : HttpRequest{.method = "POST",
                                   .target = path + "response",
                                   .headers = {{"Content-Type", "application/json"}},
                                   .body = std::move(outcome.body)};
  // Posting twice is harmless: an invocation takes one answer only.
  const HttpResponse response =
      connection.Exchange(request, base::Deadline::After(kPostTimeout), /*repeatable=*/true);
  if (response.status >= 500) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("Runtime API: POST {}: HTTP {}: {}", request.target, response.status,
                            response.body));
  }
  if (response.status >= 400) {
    // The platform has given up on this invocation and tells its caller; the next one may succeed.
    base::Log(base::LogLevel::kWarning,
              fmt::format("Runtime API refused POST {}: HTTP {}: {}", request.target,
                          response.status, response.body));
  }
}

}  // namespace

void ServeInvocations(const std::string& api, const Handler& handler) {
  HttpConnection connection(api);
  for (;;) {
    const Invocation invocation = FetchNext(connection);
    PostOutcome(connection, invocation.request_id, RunHandler(handler, invocation));
  }
}

void ReportInitError(const std::string& api, const std::string& error_type,
                     const std::string& message) {
  try {
    HttpConnection connection(api);
    connection.Exchange(ErrorPost(std::string(kRuntimeInitErrorPath), error_type,
                                  FunctionErrorBody(error_type, message, true)),
                        base::Deadline::After(kInitErrorTimeout), /*repeatable=*/true);
  } catch (const std::exception& error) {
    // Nobody else can be told: the log is all that is left, and the process ends in any case.
    base::Log(base::LogLevel::kError, fmt::format("report init error: {}", error.what()));
  }
}

}  // namespace lambdaml::faas
