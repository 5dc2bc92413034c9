// One slice of the shared model of asynchronous training: changes are added to it as they come,
// each once.
//
// A rank numbers its merges 1, 2, …; the slice knows how many of each rank's it has. So a merge
// that is repeated, because an answer was lost or the rank started anew, is recognised, and a rank
// learns from the counts where it stands.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/ps/memory_budget.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::ps {

// Threads: any.
class ModelSlice {
 public:
  // Made before a change takes effect, so that it can be refused: the journal's part.
  using Recorder = std::function<void()>;

  ModelSlice(uint32_t slice, int worker_count);

  // Makes the slice if nobody has yet. Errors: kInvalidArgument if it has another length.
  void Join(const wire::VectorView& start, MemoryBudget& budget, const Recorder& record);
  // As a journal has it: values, and the merges of each rank as scalars.
  void Restore(const wire::VectorView& state, MemoryBudget& budget);

  // Adds `change`, the rank's merge of that number; one that is in already is not added again.
  // Errors: kNotFound if nobody has joined; kInvalidArgument for another length, or a number that
  // skips one.
  void Merge(int rank, uint64_t number, const wire::VectorView& change, const Recorder& record);

  // The present state: a message of kind kModel whose scalars are the merges of each rank.
  // Errors: kNotFound if nobody has joined; kResourceExhausted.
  base::Blob Encode(MemoryBudget& budget) const;

  bool is_joined() const;
  uint64_t length() const;
  uint64_t merge_count() const;

 private:
  void CheckFits(const wire::VectorView& vector) const;
  void CheckJoined() const;

  const uint32_t slice_;
  mutable std::mutex mutex_;
  bool is_joined_ = false;
  MemoryBudget::Reservation reservation_;
  std::vector<float> values_;
  std::vector<double> merges_;  // by rank; exact up to 2^53
};

}  // namespace lambdaml::ps
