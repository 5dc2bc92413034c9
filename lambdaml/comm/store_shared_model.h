// The shared model of asynchronous training in a store.
//
// The model is cut into parts that fit a value each: part p holds the elements from p·L on, L =
// (value_size_max_bytes - header and counts) / 4. Merge does, for each part: read, add, swap; when
// another worker was faster, it waits a random time, as long as its own attempt took on average
// and longer with each failure, and starts over with what that worker wrote. So no change is lost.
//
// None is added twice either. A part carries the number of merges each rank has made to it: W
// float64 scalars, exact up to 2^53. When an answer was lost and a swap may have been made, the
// rank finds its own count grown by one if it was, and is done. The counts also tell two workers
// that pass for the same rank, and a model made anew by a late worker after the first was lost. And
// no two states of a part are equal.
//
// All workers join with the same start, so it does not matter which of them creates which part.
//
// A service that loses what it holds loses the merges with it; they cannot be made again, and the
// next Merge says so.
//
// Requests per Merge and part: 1 get and 1 put, and the same again for each lost race. A merge is
// atomic for each part, not over all: another worker may see part of it, which sums do not mind.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::comm {

class StoreSharedModel final : public SharedModel {
 public:
  // The store must live as long as the model. Errors: as CheckMembership; kInvalidArgument if the
  // store cannot swap.
  StoreSharedModel(store::Store& store, Membership membership, size_t length);

  void Join(std::span<float> model) override;
  // The largest of the parts' counts: an invocation that ends while it merges may leave a change in
  // some parts only, and what is missing of it is lost.
  uint64_t own_merges() const override;
  // Errors: kDeadlineExceeded, naming the part, if it cannot be merged within round_timeout;
  // kUnavailable if the store has lost the model; kAlreadyExists if another worker merges as this
  // rank.
  void Merge(std::span<const float> change, std::span<float> model) override;
  CommStats stats() const override { return stats_; }

 private:
  struct Part {
    std::string key;
    uint64_t number = 0;
    size_t begin = 0;
    size_t size = 0;
    double own_merges = 0;  // those of this rank that are known to be in
  };
  struct PartState {
    std::vector<double> merges;  // by rank
    std::string version;
  };
  std::vector<Part> CutIntoParts() const;
  // Sets `model` to the part's present state.
  PartState Read(const Part& part, std::span<float> model, const base::Deadline& deadline);
  void MergePart(Part& part, std::span<const float> change, std::span<float> model);
  // Whether the merge that was last tried is in. Errors: as Merge.
  bool IsMerged(const Part& part, const PartState& state, bool was_tried) const;
  base::ByteSpan Encode(const Part& part, std::span<const double> merges,
                        std::span<const float> values);
  base::Deadline RoundEnd() const;
  [[noreturn]] void ThrowLost(const Part& part) const;

  store::Store& store_;
  Membership membership_;
  size_t length_;
  std::vector<Part> parts_;
  uint64_t restarts_at_start_;  // of the service, when this rank joined
  base::Random random_;
  wire::MessageEncoder encoder_;
  CommStats stats_;
};

}  // namespace lambdaml::comm
