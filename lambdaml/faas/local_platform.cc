#include "lambdaml/faas/local_platform.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/invoke_api.h"
#include "lambdaml/faas/local_function.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

void CheckAccess(const std::string& path, int mode) {
  if (::access(path.c_str(), mode) != 0) base::ThrowErrno("create function: access", path, errno);
}

// Checks a configuration and makes its paths absolute.
FunctionConfig Checked(FunctionConfig config) {
  const auto refuse = [&](std::string_view what) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("create function {}: {}", config.name, what));
  };
  const bool name_ok = !config.name.empty() && config.name.size() <= 64 &&
                       std::ranges::all_of(config.name, [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') || c == '-' || c == '_';
                       });
  if (!name_ok) refuse("the name must be 1 to 64 letters, digits, '-' and '_'");
  if (config.memory_mb <= 0) refuse("memory_mb must be positive");
  if (config.timeout <= base::Duration::zero()) refuse("timeout must be positive");
  if (config.init_timeout <= base::Duration::zero()) refuse("init_timeout must be positive");
  if (config.concurrency_max <= 0) refuse("concurrency_max must be positive");
  CheckAccess(config.program, X_OK);
  CheckAccess(config.scratch_parent, W_OK | X_OK);
  CheckAccess(config.log_directory, W_OK | X_OK);
  if (std::filesystem::is_directory(config.program)) refuse(config.program + " is a folder");
  for (std::string* path : {&config.program, &config.scratch_parent, &config.log_directory}) {
    *path = std::filesystem::absolute(*path).lexically_normal().string();
  }
  return config;
}

}  // namespace

struct LocalPlatform::State {
  State() : invoke_api(std::in_place, loop, functions), endpoint(invoke_api->endpoint()) {
    // Signals are the business of the program's own threads.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = std::thread([this] { loop.Run(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // Runs `action` on the loop's thread and waits for it; on this one once that thread has ended.
  // Called with the mutex held.
  template <class Action>
  auto RunOnLoop(Action action) {
    if (!thread.joinable()) return action();
    std::packaged_task<decltype(action())()> task(std::move(action));
    auto result = task.get_future();
    loop.Post([&task] { task(); });
    return result.get();
  }

  // On the loop's thread.
  void ShutDownFunctions() {
    functions_left = functions.size() + 1;
    const auto one_done = [this] {
      if (--functions_left > 0) return;
      invoke_api.reset();
      loop.Finish();
    };
    for (auto& [name, function] : functions) function->Shutdown(one_done);
    loop.Post(one_done);
  }

  // The loop's, until its thread has ended. Environments refer to the loop: it is destroyed last.
  EventLoop loop;
  std::vector<InvocationRecord> records;
  FunctionMap functions;
  std::optional<InvokeApi> invoke_api;
  size_t functions_left = 0;

  const std::string endpoint;
  std::mutex mutex;    // callers take turns
  std::thread thread;  // guarded by mutex
};

LocalPlatform::LocalPlatform() : state_(std::make_unique<State>()) {}

LocalPlatform::~LocalPlatform() { Shutdown(); }

void LocalPlatform::CreateFunction(FunctionConfig config) {
  FunctionConfig checked = Checked(std::move(config));
  const std::lock_guard lock(state_->mutex);
  if (!state_->thread.joinable()) {
    throw Error(ErrorCode::kCancelled,
                fmt::format("create function {}: the platform is shut down", checked.name));
  }
  state_->RunOnLoop([&] {
    if (state_->functions.contains(checked.name)) {
      throw Error(ErrorCode::kAlreadyExists,
                  fmt::format("create function {}: it exists already", checked.name));
    }
    const std::string name = checked.name;
    state_->functions.emplace(
        name, std::make_unique<LocalFunction>(state_->loop, std::move(checked), &state_->records));
  });
}

const std::string& LocalPlatform::endpoint() const { return state_->endpoint; }

std::vector<InvocationRecord> LocalPlatform::TakeRecords() {
  const std::lock_guard lock(state_->mutex);
  return state_->RunOnLoop([&] { return std::exchange(state_->records, {}); });
}

void LocalPlatform::Shutdown() {
  const std::lock_guard lock(state_->mutex);
  if (!state_->thread.joinable()) return;
  state_->loop.Post([this] { state_->ShutDownFunctions(); });
  state_->thread.join();
}

}  // namespace lambdaml::faas
