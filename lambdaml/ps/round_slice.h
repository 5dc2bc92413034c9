// One slice of one round: collects what each rank contributes, and merges when the last has.
//
// A contribution counts once: the first of a rank wins, whoever repeats it. The merge of vectors is
// wire::SumInRankOrder, so the result has the bits that every other channel gives; of blobs it is
// the list of all, in rank order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/ps/journal.h"
#include "lambdaml/ps/memory_budget.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::ps {

// The result of a slice. At least one of `message` and `place` is set.
struct SliceResult {
  uint64_t announcement = 0;
  std::optional<base::Blob> message = {};  // in memory
  std::optional<BodyPlace> place = {};     // in the journal
};

// The merge of all ranks' contributions, as a message. Errors: kResourceExhausted.
base::Blob MergeContributions(std::span<const wire::Message> contributions, MemoryBudget& budget);

// Threads: any.
class RoundSlice {
 public:
  explicit RoundSlice(int worker_count);

  // A slice that was finished before a restart.
  explicit RoundSlice(SliceResult result);

  // Takes a rank's contribution unless there is one of it. Returns true if all are there now and
  // it is the caller who must merge: call Finish or GiveUpMerge next.
  // Errors: kInvalidArgument, naming rank and counts, if it does not fit the others'.
  bool Contribute(wire::Message contribution, uint64_t announcement);

  // For the merging caller: what there is to merge, by rank; rank 0's announcement.
  const std::vector<wire::Message>& contributions() const { return terms_; }
  uint64_t announcement() const { return announcement_; }
  void Finish(SliceResult result);
  // The merge failed: whoever contributes again tries again.
  void GiveUpMerge();

  // The result; nothing if the deadline passes first or StopWaiting is called.
  std::optional<SliceResult> Wait(const base::Deadline& deadline);
  void StopWaiting();

  // Who has not contributed to an unfinished slice.
  std::vector<int> MissingRanks() const;
  bool is_finished() const;
  bool is_begun() const;

  // Replaces the finished slice's result: its copy in memory is gone, or it stands elsewhere in the
  // journal.
  void SetResult(SliceResult result);
  SliceResult result() const;

 private:
  enum class State { kCollecting, kMerging, kFinished };

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  State state_ = State::kCollecting;
  bool is_stopped_ = false;
  std::vector<bool> has_contributed_;
  // Written while collecting, under the mutex; only read by the merging caller, without it.
  std::vector<wire::Message> terms_;
  uint64_t announcement_ = 0;
  SliceResult result_;
};

}  // namespace lambdaml::ps
