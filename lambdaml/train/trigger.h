// The trigger: validates a job, prepares the run, invokes the workers, follows them, and brings the
// model home. However the run ends, it leaves no process and no file behind.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "lambdaml/report/run_record.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

struct TriggerOptions {
  std::string worker_program;                      // the custom runtime that local functions run
  const std::atomic<bool>* interrupted = nullptr;  // set: stop, clean up, throw kCancelled
  std::function<void(const std::string&)> on_stage;
  std::function<void(const report::EpochRecord&)> on_epoch;  // from one thread, in order
  // --trigger lambda: the job goes on by itself from now on, whatever becomes of this program.
  std::function<void(const wire::Job&)> on_handed_over = [](const wire::Job&) {};
};

// Runs a job that ResolveJob has settled. The model is written to job.output only when every worker
// has ended well. Errors: kInvalidArgument, kInvalidData, kNotFound before anything is started;
// kUnavailable, kDeadlineExceeded, kResourceExhausted when a worker or the channel failed, naming
// the rank; kCancelled, which a job that was handed over survives.
report::RunSummary RunJob(const wire::Job& job, const TriggerOptions& options);

}  // namespace lambdaml::train
