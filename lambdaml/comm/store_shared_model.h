// The shared model of asynchronous training in a store.
//
// The model is cut into parts that fit a value each: part p holds the elements from p·L on, L =
// (value_size_max_bytes - header) / 4. A part's message counts the merges made to it in its round
// field, so no two states of a part are equal. Merge does, for each part: read, add, swap; when
// another worker was faster, it waits a random time, as long as its own attempt took on average
// and longer with each failure, and starts over with what that worker wrote. So no change is lost,
// and none is added twice.
//
// All workers join with the same start, so it does not matter which of them creates which part.
//
// Requests per Merge and part: 1 get and 1 put, and the same again for each lost race. A merge is
// atomic for each part, not over all: another worker may see part of it, which sums do not mind.
#pragma once

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
  // Errors: kDeadlineExceeded, naming the part, if it cannot be merged within round_timeout.
  void Merge(std::span<const float> change, std::span<float> model) override;
  CommStats stats() const override { return stats_; }

 private:
  struct Part {
    std::string key;
    uint64_t number = 0;
    size_t begin = 0;
    size_t size = 0;
  };
  struct PartState {
    uint64_t merge_count = 0;
    std::string version;
  };
  std::vector<Part> Parts() const;
  // Sets `model` to the part's present state.
  PartState Read(const Part& part, std::span<float> model, const base::Deadline& deadline);
  void MergePart(const Part& part, std::span<const float> change, std::span<float> model);
  base::ByteSpan Encode(const Part& part, uint64_t merge_count, std::span<const float> values);
  base::Deadline RoundEnd() const;

  store::Store& store_;
  Membership membership_;
  size_t length_;
  base::Random random_;
  wire::MessageEncoder encoder_;
  CommStats stats_;
};

}  // namespace lambdaml::comm
