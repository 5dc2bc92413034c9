// The workers of one job, from their first invocation to the end of the job: a thread each, which
// invokes the rank's next generation when one has ended before the job, and the same generation
// again when an invocation has failed in a way that may pass.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/faas/invoker.h"
#include "lambdaml/train/worker_report.h"

namespace lambdaml::train {

// How a worker failed for good, first failure first: what follows is often only its echo.
struct WorkerFailure {
  int64_t rank = 0;
  base::Error error;
};

struct GangOptions {
  std::string function_name;
  int64_t worker_count = 1;
  int64_t generation = 0;        // the first one
  int64_t max_restarts = 0;      // of one rank in one generation
  base::Duration patience = {};  // with one invocation
  // The payload of one invocation; attempt counts from 1 in each generation. Threads: any.
  std::function<std::string(int64_t rank, int64_t generation, int64_t attempt)> payload_of;
  // Called when a rank is started again, with what has happened. Threads: any, one at a time.
  std::function<void(const std::string& message)> on_restart = [](const std::string&) {};
};

// Threads: one caller.
class Gang {
 public:
  // Starts all workers. The invoker must live as long.
  Gang(faas::Invoker& invoker, GangOptions options);
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;
  // Waits for the invocations that run; to end them early, Stop and shut the platform down first.
  ~Gang();

  // Nothing is invoked any more.
  void Stop() { stopping_ = true; }

  // Waits until all workers have ended, one has failed for good, or `patience` is over. True if
  // there is nothing left to wait for.
  bool WaitFor(base::Duration patience);

  // The first failure, if there is one.
  std::optional<WorkerFailure> failure() const;

  // What each rank did in all its generations together: times, requests and bytes are sums. All
  // workers must have ended without failure.
  std::vector<WorkerReport> TakeReports();

  int64_t generations() const;  // of the rank with most
  int64_t restarts() const;     // of all ranks

 private:
  void RunWorker(int64_t rank);
  // One invocation's report. Errors: as the worker's.
  WorkerReport Invoke(int64_t rank, int64_t generation, int64_t attempt);
  void NoteRestart(int64_t rank, int64_t generation, const base::Error& error);
  void End(int64_t rank, std::optional<base::Error> error);

  faas::Invoker& invoker_;
  const GangOptions options_;
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_.
  int64_t running_ = 0;
  std::vector<WorkerReport> reports_;  // by rank, so far
  std::vector<int64_t> generations_;   // by rank, that have ended
  int64_t restarts_ = 0;
  std::optional<WorkerFailure> failure_;

  std::vector<std::thread> threads_;
};

}  // namespace lambdaml::train
