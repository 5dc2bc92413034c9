// All-reduce by one merging rank: W ranks, n bytes.
//
//   1. ranks 1..W-1: put the contribution into the inbox of rank 0
//   2. rank 0: waits for all, adds in rank order, puts the sum for all
//   3. ranks 1..W-1: wait for the sum
//
// Requests: rank 0: W-1 gets, 1 put; another rank: 1 put, 1 get; at most 1 delete each.
// Bytes: rank 0 reads (W-1)·n and writes n, and so sets the pace; another rank writes n, reads n.
// The pattern for short vectors: the fewest requests (docs/collectives.md).
#pragma once

#include "lambdaml/comm/store_communicator.h"

namespace lambdaml::comm {

class Reduce final : public StoreCommunicator {
 public:
  using StoreCommunicator::StoreCommunicator;

 protected:
  std::vector<Chunk> ChunksOf(std::span<double> scalars, std::span<float> vector) const override;
};

}  // namespace lambdaml::comm
