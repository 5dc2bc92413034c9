#include "lambdaml/train/job_watch.h"

#include <chrono>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/train/job_record.h"

namespace lambdaml::train {
namespace {

constexpr base::Duration kPause = std::chrono::seconds(1);
constexpr base::Duration kLookTimeout = std::chrono::seconds(5);

}  // namespace

JobWatch::JobWatch(store::Store& run_store, const wire::Job& job)
    : run_store_(run_store), job_(job), looked_(base::SystemClock().Now()) {}

void JobWatch::ThrowIfUnwanted() {
  if (!job_.is_watched) return;
  const base::TimePoint now = base::SystemClock().Now();
  if (now - looked_ < kPause) return;
  looked_ = now;
  try {
    JobRecord record(run_store_, job_.job_id);
    if (record.IsRunning(base::Deadline::After(kLookTimeout))) return;
  } catch (const base::Error&) {
    return;
  }
  throw base::Error(base::ErrorCode::kCancelled, fmt::format("rank {}: job {} is no longer wanted",
                                                             job_.worker_index, job_.job_id));
}

}  // namespace lambdaml::train
