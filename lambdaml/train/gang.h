// The workers of one job, started together: one synchronous invocation each, from a thread each.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/invoker.h"

namespace lambdaml::train {

// How a worker's invocation failed, first failure first: what follows is often only its echo.
struct WorkerFailure {
  int64_t rank = 0;
  base::Error error;
};

// Threads: one caller.
class Gang {
 public:
  // Invokes `function_name` once for each payload, whose index is the worker's rank.
  Gang(faas::Invoker& invoker, const std::string& function_name, std::vector<std::string> payloads,
       const base::Deadline& deadline);
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;
  // Waits for all invocations; to end them early, shut the platform down first.
  ~Gang();

  // Waits until all workers have ended, one has failed, or `patience` is over. True if there is
  // nothing left to wait for.
  bool WaitFor(base::Duration patience);

  // The first failure, if there is one.
  std::optional<WorkerFailure> failure() const;

  // The responses, by rank. All workers must have ended without failure.
  std::vector<std::string> TakeResponses();

 private:
  void InvokeWorker(int64_t rank, const std::string& payload);
  void End(int64_t rank, std::string response, std::optional<WorkerFailure> failure);

  faas::Invoker& invoker_;
  const std::string function_name_;
  const base::Deadline deadline_;
  const std::vector<std::string> payloads_;

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_.
  size_t running_ = 0;
  std::vector<std::string> responses_;
  std::optional<WorkerFailure> failure_;

  std::vector<std::thread> threads_;
};

}  // namespace lambdaml::train
