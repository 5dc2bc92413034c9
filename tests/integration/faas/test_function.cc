// A custom runtime for the tests: does what the payload says, {"do": <verb>, …}. What happens at
// its start is said by the environment variable TEST_INIT. With PORT it serves HTTP instead.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/http_serving.h"
#include "lambdaml/faas/runtime.h"
#include "lambdaml/faas/url_event.h"

extern char** environ;

namespace {

using lambdaml::base::Error;
using lambdaml::base::ErrorCode;
using lambdaml::base::Json;
using lambdaml::faas::Invocation;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

void SleepMs(int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Anonymous memory, or memory shared with other processes, all of it resident. By system call, as
// the thread sanitizer would add its own memory for each byte mapped and written here.
void Allocate(int64_t megabytes, bool shared) {
  const auto size = static_cast<size_t>(megabytes) << 20;
  const int flags = MAP_ANONYMOUS | MAP_POPULATE | (shared ? MAP_SHARED : MAP_PRIVATE);
  if (::syscall(SYS_mmap, nullptr, size, PROT_READ | PROT_WRITE, flags, -1, 0L) == -1) {
    throw std::bad_alloc();
  }
}

std::string Environment() {
  Json variables = Json::EmptyObject();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    variables.Set(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables.Dump();
}

[[noreturn]] void Throw(const std::string& what) {
  if (what == "Error") throw Error(ErrorCode::kInvalidData, "a.libsvm:7: bad \"number\"");
  if (what == "bad_alloc") throw std::bad_alloc();
  if (what == "exception") throw std::runtime_error("plain");
  throw 42;
}

// The number of invocations this environment has had, and what was asked to be known of one.
std::string Describe(const Invocation& invocation) {
  static int count = 0;
  Json answer;
  answer.Set("count", ++count);
  answer.Set("pid", static_cast<int64_t>(::getpid()));
  answer.Set("request_id", invocation.request_id);
  answer.Set("arn", invocation.function_arn);
  answer.Set("trace_id", invocation.trace_id);
  answer.Set("remaining_ms", invocation.deadline.RemainingPollMs());
  return answer.Dump();
}

// A process that would outlive this one, as a careless function might start.
std::string StartGrandchild() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  return std::to_string(pid);
}

std::string CountFailures(const std::string& path, int64_t failure_count) {
  int64_t count = 0;
  std::ifstream(path) >> count;
  std::ofstream(path) << count + 1;
  if (count < failure_count) throw std::runtime_error("not yet");
  return "true";
}

std::string Handle(const Invocation& invocation) {
  const Json request = Json::Parse(invocation.payload, "payload");
  const Json* verb_member = request.Find("do");
  const std::string verb = verb_member != nullptr ? verb_member->AsString() : "echo";
  const auto integer = [&](const char* key) { return request.At(key).AsInteger(); };
  if (verb == "echo") return invocation.payload;
  if (verb == "describe") return Describe(invocation);
  if (verb == "throw") Throw(request.At("what").AsString());
  if (verb == "signal") ::raise(static_cast<int>(integer("number")));
  if (verb == "exit") ::_exit(static_cast<int>(integer("status")));
  if (verb == "sleep") SleepMs(integer("ms"));
  if (verb == "allocate") {
    Allocate(integer("mb"), request.Find("shared") != nullptr);
    SleepMs(integer("hold_ms"));
  }
  if (verb == "large") return std::string(static_cast<size_t>(integer("bytes")), 'x');
  if (verb == "print") std::cout << request.At("text").AsString() << std::flush;
  if (verb == "environment") return Environment();
  if (verb == "grandchild") return StartGrandchild();
  if (verb == "fail_first") {
    return CountFailures(request.At("file").AsString(), integer("failures"));
  }
  if (verb == "write") {
    std::ofstream(Variable("TMPDIR") + "/written") << "x";
    return Json(Variable("TMPDIR")).Dump();
  }
  return "null";
}

}  // namespace

int main() {
  const std::string api = Variable("AWS_LAMBDA_RUNTIME_API");
  const std::string init = Variable("TEST_INIT");
  if (init == "exit") return 3;
  if (init == "hang") SleepMs(60'000);
  if (init == "error") {
    lambdaml::faas::ReportInitError(api, "Test.NoData", "there is no data");
    return 1;
  }
  if (init == "error_and_hang") {
    lambdaml::faas::ReportInitError(api, "Test.NoData", "there is no data");
    SleepMs(60'000);
  }
  if (init == "ignore_sigterm") ::signal(SIGTERM, SIG_IGN);
  const std::string port = Variable("PORT");
  try {
    if (!port.empty()) {
      lambdaml::faas::ServeHttp({.port = std::stoi(port)}, std::chrono::seconds(60), Handle);
    }
    lambdaml::faas::ServeInvocations(api, lambdaml::faas::TakeUrlEvents(Handle));
  } catch (const Error& error) {
    lambdaml::base::Log(lambdaml::base::LogLevel::kError, error.message());
  }
  return 1;
}
