#include "lambdaml/faas/aws_invoker.h"

#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/lambda_protocol.h"
#include "lambdaml/net/aws_client.h"
#include "lambdaml/net/retry.h"

namespace lambdaml::faas {
namespace {

// Answers that may be others a little later.
constexpr const char* kThrottled = "TooManyRequestsException";
constexpr const char* kBeingChanged = "ResourceConflictException";

net::AwsClientOptions ClientOptions(const AwsInvokerOptions& options) {
  net::AwsClientOptions client;
  client.service = "lambda";
  client.region = options.region;
  client.endpoint = options.endpoint;
  client.credentials = options.credentials;
  client.parse_error = [](const net::AwsRequest&, const net::HttpResponse& response) {
    return net::ParseJsonError(response);
  };
  return client;
}

base::Error Refusal(const std::string& operation, std::string_view code) {
  if (code == kThrottled) {
    return {base::ErrorCode::kResourceExhausted,
            fmt::format("{}: Lambda runs no more executions at one time ({}): use fewer --workers, "
                        "or ask AWS for a larger quota of concurrent executions",
                        operation, code)};
  }
  return {base::ErrorCode::kAlreadyExists,
          fmt::format("{}: the function is being changed ({}): wait until its deployment has ended",
                      operation, code)};
}

class AwsInvoker final : public Invoker {
 public:
  explicit AwsInvoker(const AwsInvokerOptions& options)
      : client_(ClientOptions(options)),
        cancelled_(options.cancelled),
        next_seed_(std::random_device()()) {}

  InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                      const base::Deadline& deadline) override {
    const net::HttpResponse response = Call(function_name, "RequestResponse", payload, deadline);
    const auto header = [&](std::string_view name) {
      return std::string(response.Header(name).value_or(""));
    };
    return {.function_error = header("X-Amz-Function-Error"),
            .payload = std::string(response.body.text()),
            .request_id = header("x-amzn-RequestId"),
            .log_tail = DecodeBase64(header("X-Amz-Log-Result"))};
  }

  void InvokeAsync(const std::string& function_name, const std::string& payload,
                   const base::Deadline& deadline) override {
    Call(function_name, "Event", payload, deadline);
  }

 private:
  net::HttpResponse Call(const std::string& function_name, std::string_view type,
                         const std::string& payload, const base::Deadline& deadline) {
    net::AwsRequest request;
    request.operation = fmt::format("invoke {}", function_name);
    request.method = "POST";
    request.path = fmt::format("{}{}{}", kInvokePrefix, function_name, kInvokeSuffix);
    request.headers = {{"Content-Type", "application/json"},
                       {"X-Amz-Invocation-Type", std::string(type)},
                       {"X-Amz-Log-Type", type == "Event" ? "None" : "Tail"}};
    request.body = base::AsBytes(payload);
    request.silence_max = deadline.Remaining();  // nothing is said while the function runs
    request.cancelled = cancelled_;
    request.may_repeat_lost = false;
    request.expected_errors = {kThrottled, kBeingChanged};
    net::Retry retry(deadline, next_seed_.fetch_add(1));
    for (;;) {
      net::AwsAnswer answer = client_.Send(request, deadline);
      if (answer.error_code.empty()) return std::move(answer.response);
      if (cancelled_ != nullptr && cancelled_->load()) {
        throw base::Error(base::ErrorCode::kCancelled, request.operation + ": cancelled");
      }
      if (!retry.Again()) throw Refusal(request.operation, answer.error_code);
    }
  }

  net::AwsClient client_;
  const std::atomic<bool>* const cancelled_;
  std::atomic<uint64_t> next_seed_;
};

}  // namespace

std::unique_ptr<Invoker> MakeAwsInvoker(const AwsInvokerOptions& options) {
  return std::make_unique<AwsInvoker>(options);
}

}  // namespace lambdaml::faas
