// The workers of one job, from their first invocation to the end of the job: a thread each, which
// invokes the rank's next generation when one has ended before the job, and the same generation
// again when an invocation has failed in a way that may pass.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
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

// How far one rank has come: what its next invocation is, and what those before it did together.
struct RankProgress {
  int64_t generation = 0;
  int64_t attempt = 1;
  bool is_finished = false;  // there is no next invocation
  int64_t generations_ended = 0;
  WorkerReport report = {};  // times, requests and bytes are sums
};

struct GangOptions {
  std::string function_name;
  int64_t worker_count = 1;
  int64_t generation = 0;                // the first one
  std::vector<RankProgress> begin = {};  // by rank, of a job under way; empty: of a new one
  // The last one; ranks that have ended it are left as they are. A rank that fails after
  // `last_start` is not started again, but left with the attempt that would be next.
  int64_t last_generation = std::numeric_limits<int64_t>::max();
  std::optional<base::Deadline> last_start = {};
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

  // The same for a job that goes on: an invocation that ends without a report leaves its rank with
  // the next attempt.
  void Abandon() { abandoned_ = true; }

  // Waits until all workers have ended, one has failed for good, or `patience` is over. True if
  // there is nothing left to wait for.
  bool WaitFor(base::Duration patience);

  // Waits until no invocation is under way, or `patience` is over.
  void WaitUntilIdle(base::Duration patience);

  // The first failure, if there is one.
  std::optional<WorkerFailure> failure() const;

  // What each rank did in all its generations together: times, requests and bytes are sums. All
  // workers must have ended without failure.
  std::vector<WorkerReport> TakeReports();

  // How far each rank has come. All must have ended, or been left, without failure.
  std::vector<RankProgress> TakeProgress();

  int64_t generations() const;  // of the rank with most
  int64_t restarts() const;     // of all ranks

 private:
  void RunWorker(int64_t rank);
  // One invocation of a rank, and what follows from it. False: there is to be no other.
  bool TakeTurn(int64_t rank, RankProgress& progress);
  // One invocation's report. Errors: as the worker's.
  WorkerReport Invoke(int64_t rank, int64_t generation, int64_t attempt);
  void NoteRestart(int64_t rank, int64_t generation, const base::Error& error);
  void End(int64_t rank, std::optional<base::Error> error);

  faas::Invoker& invoker_;
  const GangOptions options_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> abandoned_{false};

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_.
  int64_t running_ = 0;
  std::vector<RankProgress> progress_;  // by rank
  int64_t restarts_ = 0;
  std::optional<WorkerFailure> failure_;

  std::vector<std::thread> threads_;
};

}  // namespace lambdaml::train
