// An optimisation algorithm as one worker runs it: what is computed locally, what is exchanged, and
// when. The trainer (trainer.h) runs epochs until a rule says stop.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/comm/communicator.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/optim/regularizer.h"
#include "lambdaml/train/exchange.h"
#include "lambdaml/wire/job.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::optim {
class ProximalSolver;
}

namespace lambdaml::train {

// What every algorithm works on.
struct Problem {
  model::Objective& objective;  // this worker's training rows
  int64_t rows_total = 0;       // training rows of all workers
  int64_t rows_max = 0;         // training rows of the largest shard: decides steps per epoch
  optim::Regularizer regularizer;
};

// Invariant: between epochs every rank of a synchronous algorithm holds the same parameters, bit
// for bit.
class Algorithm {
 public:
  virtual ~Algorithm() = default;

  // Derives what nobody gave from the data. Either Begin or Resume is called, and first. Takes
  // rounds.
  virtual void Begin() {}
  // The state has been restored.
  virtual void Resume() {}

  virtual int64_t steps_per_epoch() const { return 1; }

  // Runs one step of one epoch (both 0, 1, …). Returns loss and accuracy over this worker's
  // training rows in it: at the parameters the step saw, or, for ADMM, at its result.
  virtual model::LossStats RunStep(int64_t epoch, int64_t step) = 0;

  virtual std::span<const float> parameters() const = 0;

  // All that later steps depend on, between any two.
  virtual void VisitState(wire::RankState& state) = 0;

  // Called once when every rank has ended its last epoch: asynchronous algorithms take the finished
  // model here.
  virtual void Settle() {}

  // Adds what the algorithm wants summed over ranks at the epoch's end. The trainer's order is
  // the steps of k+1, OnSums(of k), AddSums(of k+1).
  virtual void AddSums(EpochSums& /*mine*/) {}

  // Learns of the sums of the epoch before (exchange.h: one round late). True: the algorithm's own
  // stopping rule is met.
  virtual bool OnSums(const EpochSums& /*sums*/) { return false; }

  // Named numbers for the epoch's record, e.g. ADMM's residuals; of the sums last learnt of.
  virtual std::vector<std::pair<std::string, double>> Details() const { return {}; }
};

// The factories: `initial` are the parameters to start from, equal on all ranks. All of the job's
// optionals that concern the algorithm must be settled (job_defaults.h), `lr` and `rho` excepted,
// which Begin may derive from the data in a round of their own.

// Gradient averaging: synchronous mini-batch SGD. Equation and exactness: docs/algorithms.md.
// Each step: one round of parameter_count float32 and one count.
std::unique_ptr<Algorithm> MakeGradAvg(const Problem& problem, Exchange& exchange,
                                       const wire::Job& job, std::vector<float> initial);

// Model averaging: an epoch of local SGD, then the mean of the models weighted by rows.
// Each epoch: one round of parameter_count float32.
std::unique_ptr<Algorithm> MakeModelAvg(const Problem& problem, Exchange& exchange,
                                        const wire::Job& job, std::vector<float> initial);

// Consensus ADMM (Boyd et al. 2011, "Distributed Optimization and Statistical Learning via the
// Alternating Direction Method of Multipliers", sections 7.1 and 8.2). Each epoch: one round of
// parameter_count float32.
std::unique_ptr<Algorithm> MakeAdmm(const Problem& problem, Exchange& exchange,
                                    const wire::Job& job, std::vector<float> initial,
                                    optim::ProximalSolver& solver);

// Asynchronous SGD and asynchronous model averaging over a shared model: no round, no barrier; a
// worker's change is merged and the result is what it goes on from.
std::unique_ptr<Algorithm> MakeAsyncGradAvg(const Problem& problem, Exchange& exchange,
                                            comm::SharedModel& shared, const wire::Job& job,
                                            std::vector<float> initial);
std::unique_ptr<Algorithm> MakeAsyncModelAvg(const Problem& problem, Exchange& exchange,
                                             comm::SharedModel& shared, const wire::Job& job,
                                             std::vector<float> initial);

}  // namespace lambdaml::train
