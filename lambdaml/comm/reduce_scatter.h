// All-reduce in which each rank merges one chunk: W ranks, n bytes.
//
// Chunk d is what rank d merges: of the T scalars and elements, laid end to end, those with numbers
// from d·T/W up to (d+1)·T/W, rounded down. A rank's own chunk never leaves it.
//
//   1. each rank: puts chunk d of its contribution into the inbox of rank d, for all d but itself
//   2. each rank: waits for its chunk of all others, adds in rank order, puts the sum for all
//   3. each rank: waits for the sums of the W-1 other chunks
//
// Requests per rank: W puts, 2(W-1) gets, at most W deletes: W times those of reduce in total.
// Bytes per rank: writes n, reads 2n(W-1)/W, whatever W is. Chunks may be empty; all messages are
// sent all the same, because they also prove who has contributed (see Outbox).
// The pattern for long vectors (docs/collectives.md).
#pragma once

#include "lambdaml/comm/store_communicator.h"

namespace lambdaml::comm {

class ReduceScatter final : public StoreCommunicator {
 public:
  using StoreCommunicator::StoreCommunicator;

 protected:
  std::vector<Chunk> ChunksOf(std::span<double> scalars, std::span<float> vector) const override;
};

}  // namespace lambdaml::comm
