#include "lambdaml/faas/http_invoker.h"

#include <fmt/format.h>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/http_client.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

std::string EncodePercent(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                            (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
    if (unreserved) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

// {"Type":…,"message":…}; any other body is shown as it is.
std::string MessageOf(const std::string& body) {
  try {
    const base::Json json = base::Json::Parse(body, "error body");
    for (const std::string_view key : {"message", "Message"}) {
      if (const base::Json* message = json.Find(key)) return message->AsString();
    }
  } catch (const Error&) {
    // Not Lambda's form, a proxy's perhaps.
  }
  return body;
}

ErrorCode CodeOf(int status, std::string_view error_type) {
  if (error_type == kShutdownErrorType) return ErrorCode::kCancelled;
  switch (status) {
    case 400:
      return ErrorCode::kInvalidArgument;
    case 401:
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 413:
    case 429:
      return ErrorCode::kResourceExhausted;
    default:
      return ErrorCode::kUnavailable;
  }
}

class HttpInvoker final : public Invoker {
 public:
  explicit HttpInvoker(std::string endpoint) : endpoint_(std::move(endpoint)) {
    idle_.push_back(std::make_unique<HttpConnection>(endpoint_));
  }

  InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                      const base::Deadline& deadline) override {
    HttpResponse response = Call(function_name, "RequestResponse", payload, deadline, 200);
    return {.function_error = std::string(FindHeader(response.headers, "X-Amz-Function-Error")),
            .payload = std::move(response.body),
            .request_id = std::string(FindHeader(response.headers, "x-amzn-RequestId")),
            .log_tail = DecodeBase64(FindHeader(response.headers, "X-Amz-Log-Result"))};
  }

  void InvokeAsync(const std::string& function_name, const std::string& payload,
                   const base::Deadline& deadline) override {
    Call(function_name, "Event", payload, deadline, 202);
  }

 private:
  HttpResponse Call(const std::string& function_name, std::string_view type,
                    const std::string& payload, const base::Deadline& deadline,
                    int status_expected) {
    const HttpRequest request = {
        .method = "POST",
        .target = fmt::format("{}{}{}", kInvokePrefix, EncodePercent(function_name), kInvokeSuffix),
        .headers = {{"Content-Type", "application/json"},
                    {"X-Amz-Invocation-Type", std::string(type)},
                    {"X-Amz-Log-Type", type == "Event" ? "None" : "Tail"}},
        .body = payload};
    std::unique_ptr<HttpConnection> connection = TakeConnection();
    HttpResponse response;
    try {
      response = connection->Exchange(request, deadline, /*repeatable=*/false);
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("invoke {}: {}", function_name, error.message()));
    }
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(std::move(connection));
    }
    if (response.status == status_expected) return response;
    const std::string_view error_type = FindHeader(response.headers, "x-amzn-ErrorType");
    throw Error(CodeOf(response.status, error_type),
                fmt::format("invoke {} at {}: HTTP {} {}: {}", function_name, endpoint_,
                            response.status, error_type, MessageOf(response.body)));
  }

  std::unique_ptr<HttpConnection> TakeConnection() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<HttpConnection>(endpoint_);
    std::unique_ptr<HttpConnection> connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }

  const std::string endpoint_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<HttpConnection>> idle_;  // guarded by mutex_
};

}  // namespace

std::unique_ptr<Invoker> MakeHttpInvoker(const std::string& endpoint) {
  return std::make_unique<HttpInvoker>(endpoint);
}

}  // namespace lambdaml::faas
