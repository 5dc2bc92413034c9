// What an epoch of a network comes to, and its way to the other ranks: like those of other models
// (exchange.h), an epoch's sums get no round of their own but travel with the next one there is.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/nn/network.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::train {

// Sums over rows, and over ranks once they have travelled.
struct CnnSums {
  nn::BatchStats train;  // as each row's step saw it
  nn::BatchStats valid;  // at the epoch's end
  nn::BatchStats test;
  double seconds = 0;    // wall time of the epoch
  double waiting_s = 0;  // of which waiting for peers
};

void VisitState(std::string_view name, CnnSums& sums, wire::State& state);

// Threads: one at a time.
class SumsCourier {
 public:
  // Hands in this rank's sums. Every rank does at the same point of its program, and never twice
  // without a round between.
  void Attach(const CnnSums& mine);

  // What the next round must carry as its scalars: empty if nothing is attached. Arrived tells that
  // the round has replaced them by their sums over ranks.
  std::span<double> outgoing() { return outgoing_; }
  void Arrived();

  // What the last round brought, once.
  std::optional<CnnSums> Take();

  // To be called when what has been brought is taken.
  void VisitState(wire::RankState& state) { state.own.Visit("sums_attached", outgoing_); }

 private:
  std::vector<double> outgoing_;
  std::optional<CnnSums> summed_;
};

}  // namespace lambdaml::train
