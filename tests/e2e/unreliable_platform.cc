#include "e2e/unreliable_platform.h"

#include <chrono>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/http_invoker.h"

namespace lambdaml::test {
namespace {

constexpr const char* kFunction = "worker";
constexpr base::Duration kTimeout = std::chrono::minutes(2);

}  // namespace

UnreliablePlatform::UnreliablePlatform(const std::string& folder,
                                       std::vector<std::pair<std::string, std::string>> environment,
                                       const InvocationFaults& faults)
    : faults_(faults), random_(faults.seed) {
  platform_.CreateFunction({.name = kFunction,
                            .program = LAMBDAML_WORKER,
                            .arguments = {},
                            .memory_mb = 3008,
                            .timeout = kTimeout,
                            .environment = std::move(environment),
                            .scratch_parent = folder,
                            .log_directory = folder});
  invoker_ = faas::MakeHttpInvoker(platform_.endpoint());
  server_ = std::make_unique<faas::HttpServer>(
      loop_, [this](const faas::HttpRequest& request, const faas::HttpServer::Respond& respond) {
        OnRequest(request, respond);
      });
  url_ = "http://" + server_->endpoint();
  loop_thread_ = std::thread([this] { loop_.Run(); });
}

UnreliablePlatform::~UnreliablePlatform() {
  Shutdown();
  loop_.Post([this] { server_.reset(); });
  loop_.Finish();
  loop_thread_.join();
  for (std::thread& invocation : invocations_) invocation.join();
}

void UnreliablePlatform::OnRequest(const faas::HttpRequest& request,
                                   const faas::HttpServer::Respond& respond) {
  const bool is_late = random_.Uniform() < faults_.delay_probability;
  if (is_late) ++delays_;
  InvokeLater(request.body, is_late ? DrawDelay() : base::Duration::zero(), respond);
  if (random_.Uniform() >= faults_.duplicate_probability) return;
  ++duplicates_;
  InvokeLater(request.body, DrawDelay(), [](const faas::HttpResponse&) {});
}

base::Duration UnreliablePlatform::DrawDelay() {
  return base::FromSeconds(random_.Uniform() * base::Seconds(faults_.delay_max));
}

void UnreliablePlatform::InvokeLater(const std::string& payload, base::Duration delay,
                                     const faas::HttpServer::Respond& respond) {
  invocations_.emplace_back([this, payload, delay, respond] {
    base::SystemClock().SleepFor(delay);
    faas::HttpResponse response = Invoke(payload);
    loop_.Post([respond, response = std::move(response)] { respond(response); });
  });
}

faas::HttpResponse UnreliablePlatform::Invoke(const std::string& payload) const {
  try {
    const faas::InvokeResult result =
        invoker_->Invoke(kFunction, payload, base::Deadline::After(kTimeout));
    return {.status = result.failed() ? 500 : 200, .headers = {}, .body = result.payload};
  } catch (const base::Error& error) {
    return {.status = 502, .headers = {}, .body = error.message()};
  }
}

}  // namespace lambdaml::test
