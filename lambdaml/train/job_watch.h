// Whether a running job is still wanted: a worker on another machine cannot be ended from outside,
// so it looks for itself (job_record.h, <job>/running).
#pragma once

#include <functional>

#include "lambdaml/base/clock.h"
#include "lambdaml/store/store.h"
#include "lambdaml/train/generation.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Threads: one.
class JobWatch {
 public:
  // Both must live as long.
  JobWatch(store::Store& run_store, const wire::Job& job);

  // Errors: kCancelled if the job is not wanted any more. Looks once a second at most, which is one
  // read request; a store that does not answer says nothing. Free for a job that is not watched.
  void ThrowIfUnwanted();

 private:
  store::Store& run_store_;
  const wire::Job& job_;
  base::TimePoint looked_;
};

// A generation whose training loop ends when its job is not wanted any more.
class WatchedGeneration final : public Generation {
 public:
  // Both must live as long.
  WatchedGeneration(Generation& generation, JobWatch& watch)
      : generation_(generation), watch_(watch) {}

  bool has_state() const override { return generation_.has_state(); }
  void Restore(const StateVisitor& visit) override { generation_.Restore(visit); }
  bool GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) override {
    watch_.ThrowIfUnwanted();
    return generation_.GoesOn(epochs, epoch_ended, visit);
  }
  bool Meet(int64_t epochs, const StateVisitor& visit, const std::function<void()>& meet) override {
    return generation_.Meet(epochs, visit, meet);
  }

 private:
  Generation& generation_;
  JobWatch& watch_;
};

}  // namespace lambdaml::train
