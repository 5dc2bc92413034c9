#include "lambdaml/train/aws_platform.h"

#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <thread>
#include <utility>

#include "lambdaml/aws/lambda.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/aws_invoker.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/store_url.h"
#include "lambdaml/train/billed_invoker.h"

namespace lambdaml::train {
namespace {

using base::Error;
using base::ErrorCode;

constexpr base::Duration kCheckTimeout = std::chrono::minutes(1);
constexpr base::Duration kChangePause = std::chrono::seconds(1);

class AwsPlatform final : public Platform {
 public:
  AwsPlatform(const aws::Session& session, std::string shared_folder, int64_t memory_mb)
      : shared_folder_(std::move(shared_folder)) {
    const net::AwsClientOptions lambda = aws::ClientOptions(session, "lambda", nullptr);
    invoker_ =
        std::make_unique<BilledInvoker>(faas::MakeAwsInvoker({.region = lambda.region,
                                                              .endpoint = lambda.endpoint,
                                                              .credentials = lambda.credentials,
                                                              .cancelled = &cancelled_}),
                                        memory_mb);
  }

  std::string shared_folder() const override { return shared_folder_; }
  void Start(const wire::Job&, const RunDirectory&) override {}
  faas::Invoker& invoker() override { return *invoker_; }
  void Shutdown() override { cancelled_ = true; }
  std::vector<report::Invocation> TakeInvocations() override { return invoker_->Take(); }

 private:
  const std::string shared_folder_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<BilledInvoker> invoker_;
};

// The function, once it is ready to be invoked.
aws::FunctionConfiguration ReadyFunction(aws::Lambda& lambda, const std::string& name,
                                         const base::Deadline& deadline) {
  for (;;) {
    const auto function = lambda.GetFunctionConfiguration(name, deadline);
    if (!function) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("there is no function {} in this account and region: `lambdaml "
                              "deploy` makes it, --function_name names another",
                              name));
    }
    if (function->state == "Failed" || function->last_update_status == "Failed") {
      throw Error(ErrorCode::kUnavailable, fmt::format("the function {} is of no use ({}): deploy "
                                                       "it again",
                                                       name, function->state_reason));
    }
    const bool is_changing =
        function->state == "Pending" || function->last_update_status == "InProgress";
    if (!is_changing) return *function;
    if (deadline.Expired()) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("the function {} is still being changed: try again later", name));
    }
    std::this_thread::sleep_for(kChangePause);
  }
}

void CheckVersion(const aws::FunctionConfiguration& function, const wire::Job& job,
                  const std::string& worker_program) {
  const auto deployed = function.environment.find(kWorkerVariable);
  if (deployed == function.environment.end() || deployed->second.empty()) return;
  const base::Blob program = base::MapFile(worker_program);
  if (deployed->second == net::Hex(net::Sha256(program.span()))) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the function {} runs another version of the worker than this program's: "
                          "`lambdaml deploy` brings it up to date",
                          job.function_name));
}

// A gang of which a part cannot start would wait for it, at full price.
void CheckConcurrency(aws::Lambda& lambda, const wire::Job& job, const base::Deadline& deadline) {
  const auto reserved = lambda.GetReservedConcurrency(job.function_name, deadline);
  const int64_t available = reserved ? *reserved : lambda.GetAccountSettings(deadline).unreserved;
  const bool has_trigger = job.trigger == wire::TriggerKind::kLambda;
  if (available >= job.n_workers + (has_trigger ? 1 : 0)) return;
  throw Error(ErrorCode::kResourceExhausted,
              fmt::format("{} workers{} are asked for, but {} allows {} executions at one time: "
                          "use fewer --workers, {}",
                          job.n_workers, has_trigger ? " and a trigger" : "",
                          reserved ? "the function's reserve" : "the account's quota", available,
                          reserved ? "or deploy with more --concurrency"
                                   : "or ask AWS for a larger quota (Service Quotas, AWS Lambda)"));
}

void CheckSelfInvoke(const aws::FunctionConfiguration& function, const wire::Job& job) {
  if (job.trigger != wire::TriggerKind::kLambda) return;
  const auto allowed = function.environment.find(kSelfInvokeVariable);
  if (allowed != function.environment.end() && allowed->second == "true") return;
  throw Error(ErrorCode::kPermissionDenied,
              fmt::format("--trigger lambda: the function {} may not invoke itself: `lambdaml "
                          "deploy --self_invoke true` allows it",
                          job.function_name));
}

// A server in a VPC answers to nobody outside.
void CheckReach(const aws::FunctionConfiguration& function, const wire::Job& job) {
  if (place::IsLocal(job.channel) || !function.vpc_id.empty()) return;
  const std::string host = store::StoreUrl::Parse(job.channel).authority;
  const bool is_private = host.starts_with("10.") || host.starts_with("192.168.") ||
                          host.find(".cache.amazonaws.com") != host.npos;
  if (!is_private) return;
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the channel {} is in a private network, the function {} is not: deploy "
                          "with --vpc, --subnets and --channel_group",
                          store::WithoutPassword(job.channel), job.function_name));
}

}  // namespace

std::unique_ptr<Platform> MakeAwsPlatform(wire::Job& job, const std::string& worker_program) {
  aws::Session session;
  if (!job.region.empty()) session.region = job.region;
  const base::Deadline deadline = base::Deadline::After(kCheckTimeout);
  aws::Lambda lambda(session);
  const aws::FunctionConfiguration function = ReadyFunction(lambda, job.function_name, deadline);
  CheckVersion(function, job, worker_program);
  CheckConcurrency(lambda, job, deadline);
  CheckReach(function, job);
  CheckSelfInvoke(function, job);
  job.memory_mb = function.memory_mb;
  job.architecture = function.architecture == "arm64" ? function.architecture : "";
  job.timeout_s = std::min(job.timeout_s, static_cast<double>(function.timeout_seconds));
  const auto jobs = function.environment.find(kJobsVariable);
  std::string shared_folder = job.run_folder;
  if (shared_folder.empty() && jobs != function.environment.end()) shared_folder = jobs->second;
  if (shared_folder.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the function {} does not say where jobs are ({}): give --run_folder "
                            "s3://bucket/folder",
                            job.function_name, kJobsVariable));
  }
  shared_folder = WithRegion(std::move(shared_folder), job.region);
  return std::make_unique<AwsPlatform>(session, std::move(shared_folder), job.memory_mb);
}

}  // namespace lambdaml::train
