// Generations of a real job: they begin where the last checkpoint is and end when the invocations'
// time does. docs/fault-tolerance.md has the protocol and why it is safe.
//
// Synchronous: all ranks save and stop after the same round, because rank 0 decides and announces
// it with the round's sum, or because so many epochs are over, which every rank counts alike. A
// checkpoint takes one round, in which the ranks tell each other that their parts stand.
//
// Asynchronous: each rank saves and stops for itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/train/checkpoints.h"
#include "lambdaml/train/generation.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Results of rounds that a channel holds at most, about, for workers that are started again: a
// checkpoint is due then, after which nobody needs them.
inline constexpr uint64_t kKeptBytesMax = uint64_t{256} << 20;

class CheckpointedGeneration : public Generation {
 public:
  // What the generation asks of the communicator, written into `membership`: which rounds are over,
  // which keys are left over, what is announced.
  virtual void Describe(comm::Membership& membership) = 0;

  // Comes together with the other ranks, in the first round, unless that was before the state from
  // which this invocation goes on. `communicator` must live as long. Errors: kDeadlineExceeded,
  // naming all missing ranks; kInvalidArgument if they do not run the same program.
  virtual void Join(comm::Communicator& communicator) = 0;

  // Whether the job has gone on from a newer state than this invocation has. What the invocation
  // waits for may be deleted then, and whatever has failed in it is of no account: it is to enter
  // its generation anew. One to three requests; a place that does not answer says nothing.
  virtual bool IsLeftBehind() = 0;
};

// The invocation whose share of a job a generation is.
struct GenerationOptions {
  const wire::Job& job;
  Checkpoints& checkpoints;
  StateVisitor visit_more;            // what belongs to the state beside the training loop's
  std::function<bool()> is_job_over;  // whether the job's outcome stands
  base::Deadline end;                 // of the invocation
};

// What an invocation of a rank is to do. Nothing: another generation of the rank has gone on
// already. Errors: kCorrupt; those of the store.
std::unique_ptr<CheckpointedGeneration> EnterGeneration(const GenerationOptions& options);

}  // namespace lambdaml::train
