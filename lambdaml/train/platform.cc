#include "lambdaml/train/platform.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/http_invoker.h"
#include "lambdaml/faas/local_platform.h"
#include "lambdaml/train/aws_platform.h"
#include "lambdaml/train/http_platform.h"
#include "lambdaml/train/service_environment.h"

namespace lambdaml::train {
namespace {

// Functions are processes of this machine.
class LocalFunctions final : public Platform {
 public:
  explicit LocalFunctions(std::string worker_program) : program_(std::move(worker_program)) {}

  std::string shared_folder() const override { return ""; }

  void Start(const wire::Job& job, const RunDirectory& run) override {
    platform_ = std::make_unique<faas::LocalPlatform>();
    faas::FunctionConfig function;
    function.name = job.function_name;
    function.program = program_;
    function.memory_mb = static_cast<int>(job.memory_mb);
    function.timeout = base::FromSeconds(job.timeout_s);
    const bool has_trigger = job.trigger == wire::TriggerKind::kLambda;
    function.concurrency_max = static_cast<int>(job.n_workers) + (has_trigger ? 1 : 0);
    function.scratch_parent = run.functions();
    function.log_directory = run.functions();
    function.environment = ServiceEnvironment(job);
    if (has_trigger) AddInvokeApi(function.environment);
    // Workers share this machine's processors: OpenMP's threads (nn) that wait for each other are
    // to sleep, not to take the processor from those they wait for.
    function.environment.emplace_back("OMP_WAIT_POLICY", "passive");
    platform_->CreateFunction(std::move(function));
    invoker_ = faas::MakeHttpInvoker(platform_->endpoint());
  }

  faas::Invoker& invoker() override { return *invoker_; }

  void Shutdown() override {
    if (platform_) platform_->Shutdown();
  }

  std::vector<report::Invocation> TakeInvocations() override {
    std::vector<report::Invocation> invocations;
    for (const faas::InvocationRecord& record : platform_->TakeRecords()) {
      invocations.push_back({record.memory_mb, record.billed_duration_ms});
    }
    return invocations;
  }

 private:
  // Where a function finds the platform, as on AWS: what it may do there, its role says.
  void AddInvokeApi(std::vector<std::pair<std::string, std::string>>& environment) const {
    constexpr std::string_view kEndpoint = "AWS_ENDPOINT_URL_LAMBDA";
    constexpr std::string_view kKeyId = "AWS_ACCESS_KEY_ID";
    std::erase_if(environment, [&](const auto& variable) { return variable.first == kEndpoint; });
    environment.emplace_back(kEndpoint, "http://" + platform_->endpoint());
    const bool has_key = std::ranges::any_of(
        environment, [&](const auto& variable) { return variable.first == kKeyId; });
    if (has_key) return;
    environment.emplace_back(kKeyId, "local");
    environment.emplace_back("AWS_SECRET_ACCESS_KEY", "local");
  }

  const std::string program_;
  std::unique_ptr<faas::LocalPlatform> platform_;
  std::unique_ptr<faas::Invoker> invoker_;
};

}  // namespace

std::unique_ptr<Platform> MakePlatform(wire::Job& job, const std::string& worker_program) {
  if (job.platform == wire::PlatformKind::kHttp && job.trigger == wire::TriggerKind::kLambda) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--trigger lambda: functions of --platform http do not know how to invoke "
                      "each other; use --platform aws, or leave the trigger here");
  }
  switch (job.platform) {
    case wire::PlatformKind::kAws:
      return MakeAwsPlatform(job, worker_program);
    case wire::PlatformKind::kHttp:
      return MakeHttpPlatform(job);
    case wire::PlatformKind::kLocal:
      break;
  }
  if (!job.function_url.empty()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--function_url means nothing without --platform http");
  }
  return std::make_unique<LocalFunctions>(worker_program);
}

std::string UrlIn(std::string_view folder_url, std::string_view name) {
  const size_t end = std::min(folder_url.find('?'), folder_url.size());
  std::string_view folder = folder_url.substr(0, end);
  while (folder.ends_with('/')) folder.remove_suffix(1);
  return fmt::format("{}/{}{}", folder, name, folder_url.substr(end));
}

std::string WithRegion(std::string url, const std::string& region) {
  if (region.empty() || url.find("region=") != std::string::npos) return url;
  url += (url.find('?') == std::string::npos ? "?region=" : "&region=");
  return url + region;
}

}  // namespace lambdaml::train
