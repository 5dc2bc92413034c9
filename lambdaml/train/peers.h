// The other workers of a job, as a workload reaches them through the channel.
#pragma once

#include <cstddef>
#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/train/checkpointed_generation.h"
#include "lambdaml/train/job_watch.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Threads: one.
class Peers {
 public:
  // The channel and the generation must live as long; `end` is that of this worker's invocation.
  // Without a generation it is taken to outlast the job. Whoever waits for a peer asks the watch,
  // if there is one. Nothing is asked of the channel yet.
  Peers(const wire::Job& job, comm::Channel& channel, const base::Deadline& end,
        CheckpointedGeneration* generation = nullptr, JobWatch* watch = nullptr);

  // In the job's pattern.
  comm::Communicator& communicator() { return *communicator_; }

  // The shared model of an asynchronous job. To be called once. Errors: kInvalidArgument if the
  // channel cannot swap.
  comm::SharedModel& MakeSharedModel(size_t length);

  // Time spent in the channel so far, and rounds or merges made there.
  base::Duration communicating() const { return stats().communicating; }
  comm::CommStats stats() const;

 private:
  comm::Channel& channel_;
  const comm::Membership membership_;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<comm::SharedModel> shared_;
};

}  // namespace lambdaml::train
