// lambdaml-worker: the function. An ordinary Lambda custom runtime (`bootstrap`) whose handler runs
// one worker's share of a job, or its trigger; the same program runs wherever the Runtime API is
// served, and where containers get HTTP requests (PORT).
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/http_serving.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/faas/url_event.h"
#include "lambdaml/train/trigger_function.h"
#include "lambdaml/train/worker.h"
#include "lambdaml/wire/job.h"

namespace {

using lambdaml::base::Error;
using lambdaml::base::ErrorCode;
using lambdaml::base::Log;
using lambdaml::base::LogLevel;

// Lambda gives one CPU for each 1,769 MB (Lambda developer guide, "Configure function memory"); the
// number of CPUs that the machine shows says nothing about the function's share of them.
constexpr int kMemoryMbPerCpu = 1769;

// Of an HTTP request that states no deadline: the longest that Cloud Run allows.
constexpr lambdaml::base::Duration kRequestTimeMax = std::chrono::hours(1);

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

// The whole number that a variable holds; nothing if it is not set, or not to one.
std::optional<int> NumberIn(const char* name) {
  const std::string_view text = Environment(name);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

int ThreadCount() {
  const int memory_mb = NumberIn("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").value_or(0);
  return std::clamp(memory_mb / kMemoryMbPerCpu, 1, 6);
}

std::string RunTrigger(const lambdaml::train::TriggerHop& hop,
                       const lambdaml::faas::Invocation& invocation) {
  const std::string said = lambdaml::train::RunTriggerHop(
      hop, {.function_name = std::string(Environment("AWS_LAMBDA_FUNCTION_NAME")),
            .invocation = invocation.request_id,
            .memory_mb = NumberIn("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").value_or(0),
            .deadline = invocation.deadline});
  Log(LogLevel::kInfo, said);
  return lambdaml::base::Json(said).Dump();
}

std::string HandleInvocation(const lambdaml::faas::Invocation& invocation) {
  const auto json = lambdaml::base::Json::Parse(invocation.payload, "payload");
  if (const auto hop = lambdaml::train::TriggerHopIn(json)) return RunTrigger(*hop, invocation);
  const lambdaml::wire::Job job = lambdaml::wire::JobFromJson(json, "payload");
  try {
    const lambdaml::train::WorkerReport report = lambdaml::train::RunWorker(
        job, {.thread_count = ThreadCount(), .deadline = invocation.deadline});
    return lambdaml::train::ToJson(report).Dump();
  } catch (const Error& error) {
    // The trigger is told as well, but `lambdaml logs JOB` knows the job's lines by its name.
    Log(LogLevel::kError,
        fmt::format("job {}, worker {}, generation {}, attempt {}: {}", job.job_id,
                    job.worker_index, job.generation, job.attempt, error.message()));
    throw;
  }
}

// Where to listen: PORT, as container platforms set it, of this machine only unless told otherwise,
// because whoever can send a worker a job reads and writes with its credentials.
lambdaml::faas::ListenAddress AddressToServe() {
  const std::optional<int> port = NumberIn("PORT");
  if (!port || *port < 1 || *port > 65535) {
    throw Error(ErrorCode::kInvalidArgument,
                "neither AWS_LAMBDA_RUNTIME_API nor PORT is set: this program is a function, "
                "started by a function platform; use `lambdaml train` to run it on this machine");
  }
  const std::string_view ip = Environment("LAMBDAML_LISTEN");
  return {.ip = ip.empty() ? "127.0.0.1" : std::string(ip), .port = *port};
}

}  // namespace

int main() {
  const std::string api(Environment("AWS_LAMBDA_RUNTIME_API"));
  try {
    if (!api.empty()) {
      lambdaml::faas::ServeInvocations(api, lambdaml::faas::TakeUrlEvents(HandleInvocation));
    }
    lambdaml::faas::ServeHttp(AddressToServe(), kRequestTimeMax, HandleInvocation);
  } catch (const Error& error) {
    Log(LogLevel::kError, error.message());
    return error.code() == ErrorCode::kInvalidArgument ? 2 : 4;
  }
}
