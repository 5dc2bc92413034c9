// The rounds of synchronous training, with the epoch's metrics travelling along.
//
// A round over object storage costs requests and latency whatever its size, so the sums that only
// reports and stopping rules need get no round of their own: the metrics of epoch k are attached
// when it ends and travel with the first round of epoch k+1. All decisions taken from them are one
// round late, on every rank alike.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::train {

// Sums over ranks of what each measured in one epoch.
struct EpochSums {
  model::LossStats train = {};
  model::LossStats valid = {};
  double seconds = 0;          // wall time of the epoch
  double communicating_s = 0;  // of which inside collectives
  // ADMM (docs/algorithms.md): Σ‖x_i − z‖², Σ‖x_i‖², Σ‖ρu_i‖².
  double primal_residual_sq = 0;
  double local_norm_sq = 0;
  double dual_norm_sq = 0;
};

void VisitState(std::string_view name, EpochSums& sums, wire::State& state);

// Threads: one.
class Exchange {
 public:
  explicit Exchange(comm::Communicator& communicator) : communicator_(communicator) {}

  int rank() const { return communicator_.rank(); }
  int worker_count() const { return communicator_.worker_count(); }

  // One round: replaces scalars and vector by their sums over ranks; attached sums travel along.
  void Sum(std::span<double> scalars, std::span<float> vector);

  // Hands in this rank's sums of an epoch. Every rank attaches at the same point of its program,
  // and never twice without a round between.
  void Attach(const EpochSums& mine);

  // What the last round brought of attached sums, once.
  std::optional<EpochSums> TakeSums();

  // A round of its own for what is attached; none if nothing is.
  void Flush();

  void VisitState(wire::RankState& state);

 private:
  comm::Communicator& communicator_;
  std::optional<EpochSums> attached_;
  std::optional<EpochSums> summed_;
  std::vector<double> buffer_;
};

}  // namespace lambdaml::train
