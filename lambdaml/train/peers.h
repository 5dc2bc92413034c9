// The other workers of a job, as a workload reaches them through the channel.
#pragma once

#include <cstddef>
#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Threads: one.
class Peers {
 public:
  // The channel must live as long; `end` is that of this worker's invocation. Nothing is asked of
  // the channel yet.
  Peers(const wire::Job& job, store::Store& channel, const base::Deadline& end);

  // In the job's pattern. Asynchronous workers meet only at the end, and then wait for the slowest.
  comm::Communicator& communicator() { return *communicator_; }

  // The shared model of an asynchronous job. To be called once. Errors: kInvalidArgument if the
  // channel cannot swap.
  comm::SharedModel& MakeSharedModel(size_t length);

  // Time spent in the channel so far.
  base::Duration communicating() const;

 private:
  store::Store& channel_;
  const comm::Membership membership_;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<comm::SharedModel> shared_;
};

}  // namespace lambdaml::train
