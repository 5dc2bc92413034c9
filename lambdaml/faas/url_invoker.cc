#include "lambdaml/faas/url_invoker.h"

#include <chrono>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/http_serving.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/net/retry.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/net/sigv4.h"
#include "lambdaml/net/url.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

constexpr size_t kShownBytesMax = 300;

struct Target {
  std::string url;  // without query
  net::HttpUrl parts;
  std::string signing_region;  // empty: not signed
};

// Whether the body is what a function that failed answers: {"errorType": …, "errorMessage": …}.
bool IsFunctionError(std::string_view body) {
  try {
    const base::Json json = base::Json::Parse(body, "answer");
    return json.is_object() && json.Find("errorType") != nullptr;
  } catch (const Error&) {
    return false;  // a proxy's page
  }
}

ErrorCode CodeOf(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 413:
    case 429:
      return ErrorCode::kResourceExhausted;
    default:
      return status >= 500 ? ErrorCode::kUnavailable : ErrorCode::kInvalidArgument;
  }
}

class UrlInvoker final : public Invoker {
 public:
  explicit UrlInvoker(UrlInvokerOptions options)
      : options_(std::move(options)), next_seed_(std::random_device()()) {
    if (options_.urls.empty()) {
      throw Error(ErrorCode::kInvalidArgument, "no function URL is given: set --function_url");
    }
    for (const std::string& url : options_.urls) {
      const std::string region = RegionOfFunctionUrl(url);
      targets_.push_back({.url = url,
                          .parts = net::ParseHttpUrl(url),
                          .signing_region = region.empty() ? options_.signing_region : region});
      const bool is_signed = !targets_.back().signing_region.empty();
      LAMBDAML_CHECK(!is_signed || options_.credentials != nullptr);
    }
  }

  InvokeResult Invoke(const std::string&, const std::string& payload,
                      const base::Deadline& deadline) override {
    net::Retry retry(deadline, next_seed_.fetch_add(1));
    for (;;) {
      std::optional<Error> busy;
      for (size_t i = 0; i < targets_.size(); ++i) {
        const Target& target = targets_[next_target_.fetch_add(1) % targets_.size()];
        net::HttpResponse response = Send(target, payload, deadline);
        const std::string_view body = response.body.text();
        const bool is_success = response.status / 100 == 2;
        const bool is_busy = response.status == 429 || response.status == 503;
        if (is_success || (!is_busy && IsFunctionError(body))) {
          return {.function_error = is_success ? "" : "Unhandled",
                  .payload = std::string(body),
                  .request_id = {},
                  .log_tail = {}};
        }
        Error failure(CodeOf(response.status),
                      fmt::format("invoke {}: HTTP {}: {}", target.parts.authority(),
                                  response.status, body.substr(0, kShownBytesMax)));
        if (!is_busy) throw failure;
        busy = std::move(failure);
      }
      if (!retry.Again()) throw *busy;
    }
  }

  void InvokeAsync(const std::string&, const std::string&, const base::Deadline&) override {
    throw Error(ErrorCode::kInvalidArgument,
                "functions behind a URL have no asynchronous invocations");
  }

 private:
  net::HttpResponse Send(const Target& target, const std::string& payload,
                         const base::Deadline& deadline) {
    using std::chrono::milliseconds;
    const auto end = std::chrono::system_clock::now() +
                     std::chrono::duration_cast<milliseconds>(deadline.Remaining());
    const auto end_ms = std::chrono::duration_cast<milliseconds>(end.time_since_epoch()).count();
    net::HttpRequest request;
    request.method = "POST";
    request.url = target.url;
    request.headers = {{"Content-Type", "application/json"},
                       {std::string(kDeadlineHeader), std::to_string(end_ms)}};
    request.body = base::AsBytes(payload);
    request.silence_max = deadline.Remaining();  // nothing is said while the function runs
    request.cancelled = options_.cancelled;
    if (!target.signing_region.empty()) AddSignature(target, deadline, &request);
    net::HttpOutcome outcome = http_.Send(request, deadline);
    if (auto* error = std::get_if<Error>(&outcome)) {
      throw Error(error->code(), "invoke: " + error->message());
    }
    return std::move(std::get<net::HttpResponse>(outcome));
  }

  void AddSignature(const Target& target, const base::Deadline& deadline,
                    net::HttpRequest* request) const {
    const std::string payload_hash = net::Hex(net::Sha256(request->body));
    const std::vector<net::HttpHeader> signature =
        net::Sign({.method = request->method,
                   .host = target.parts.host_header(),
                   .path = target.parts.path,
                   .query = {},
                   .headers = request->headers,
                   .payload_hash = payload_hash},
                  {.region = target.signing_region, .service = "lambda"},
                  options_.credentials->Get(deadline), std::chrono::system_clock::now());
    request->headers.insert(request->headers.end(), signature.begin(), signature.end());
  }

  const UrlInvokerOptions options_;
  std::vector<Target> targets_;
  net::HttpClient http_;
  std::atomic<size_t> next_target_{0};
  std::atomic<uint64_t> next_seed_;
};

}  // namespace

std::string RegionOfFunctionUrl(const std::string& url) {
  constexpr std::string_view kInfix = ".lambda-url.";
  constexpr std::string_view kSuffix = ".on.aws";
  const std::string host = net::ParseHttpUrl(url).host;
  const size_t infix = host.find(kInfix);
  if (infix == host.npos || !host.ends_with(kSuffix)) return "";
  const size_t begin = infix + kInfix.size();
  if (begin + kSuffix.size() >= host.size()) return "";
  return host.substr(begin, host.size() - kSuffix.size() - begin);
}

std::unique_ptr<Invoker> MakeUrlInvoker(UrlInvokerOptions options) {
  return std::make_unique<UrlInvoker>(std::move(options));
}

}  // namespace lambdaml::faas
