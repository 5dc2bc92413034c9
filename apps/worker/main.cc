// lambdaml-worker: the function. An ordinary Lambda custom runtime (`bootstrap`) whose handler runs
// one worker's share of a job; the same program runs wherever the Runtime API is served.
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/train/worker.h"
#include "lambdaml/wire/job.h"

namespace {

using lambdaml::base::Error;
using lambdaml::base::ErrorCode;

// Lambda gives one CPU for each 1,769 MB (Lambda developer guide, "Configure function memory"); the
// number of CPUs that the machine shows says nothing about the function's share of them.
constexpr int kMemoryMbPerCpu = 1769;

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

int ThreadCount() {
  const std::string_view text = Environment("AWS_LAMBDA_FUNCTION_MEMORY_SIZE");
  int memory_mb = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), memory_mb);
  if (error != std::errc() || end != text.data() + text.size()) return 1;
  return std::clamp(memory_mb / kMemoryMbPerCpu, 1, 6);
}

std::string HandleInvocation(const lambdaml::faas::Invocation& invocation) {
  const auto json = lambdaml::base::Json::Parse(invocation.payload, "payload");
  const lambdaml::wire::Job job = lambdaml::wire::JobFromJson(json, "payload");
  const lambdaml::train::WorkerReport report = lambdaml::train::RunWorker(
      job, {.thread_count = ThreadCount(), .deadline = invocation.deadline});
  return lambdaml::train::ToJson(report).Dump();
}

}  // namespace

int main() {
  const std::string api(Environment("AWS_LAMBDA_RUNTIME_API"));
  try {
    if (api.empty()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          "AWS_LAMBDA_RUNTIME_API is not set: this program is a Lambda function, started by "
          "a function platform; use `lambdaml train` to run it on this machine");
    }
    lambdaml::faas::ServeInvocations(api, HandleInvocation);
  } catch (const Error& error) {
    lambdaml::base::Log(lambdaml::base::LogLevel::kError, error.message());
    return error.code() == ErrorCode::kInvalidArgument ? 2 : 4;
  }
}
