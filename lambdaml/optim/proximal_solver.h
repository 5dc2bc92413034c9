// One worker's part of consensus ADMM, and what is like it: minimising a weighted objective with a
// squared distance from an anchor,
//
//   x := argmin_x  F(x),     F(x) = c·f(x) + (ρ/2)·‖x - a‖²
//
// f is the objective's sum of losses over all its rows (model/objective.h), c the data weight, a
// the anchor. The distance covers all parameters, the bias too, so F is strongly convex.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "lambdaml/model/linear_objective.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::optim {

struct ProximalResult {
  int64_t iterations = 0;  // of the solver's own kind
  double passes = 0;       // times all rows were read
  // How far x is from the minimum, as the solver measures it; see the factories.
  double inaccuracy = 0;
};

// Solvers keep what speeds up the next call (dual variables, workspaces). Threads: one.
class ProximalSolver {
 public:
  virtual ~ProximalSolver() = default;

  // rho > 0. x: where to start from, and the result. Reaching a limit of passes is no error.
  virtual ProximalResult Solve(double rho, std::span<const float> anchor, std::span<float> x) = 0;

  // What the result of the next call depends on beside its arguments.
  virtual void VisitState(wire::State& state) = 0;
};

struct LbfgsSolverOptions {
  double data_weight = 1;
  double tolerance = 1e-3;
  int64_t iterations_max = 100;
};

// L-BFGS (lbfgs.h), for objectives with a gradient. An iteration takes one pass, seldom two.
// Inaccuracy: ‖∇F‖ / (‖c·∇f‖ + ρ‖x - a‖), at which it stops when not above `tolerance`; also where
// float32 gradients allow no further progress.
std::unique_ptr<ProximalSolver> MakeLbfgsSolver(model::Objective& objective,
                                                const LbfgsSolverOptions& options);

struct SgdSolverOptions {
  double data_weight = 1;
  double lr = 0;           // η, constant
  int64_t batch_size = 0;  // b; 0: all rows
  int64_t n_epochs = 1;    // per call
  uint64_t seed = 0;       // of the order of batches
};

// Mini-batch SGD on F / (c·rows), LambdaML's local solver, with the distance taken implicitly so
// that no ρ is too large for η:
//
//   x ← a + (x - η·g - a) / (1 + η·ρ'),   g = (1/b)·Σ_{r in batch} ∂loss/∂x,   ρ' = ρ/(c·rows)
//
// A step on a sparse objective touches only the non-zeros of its rows: x - a is kept as a scaled
// vector, and a's scores are computed once per call. Inaccuracy: not measured, 0.
std::unique_ptr<ProximalSolver> MakeSgdSolver(model::Objective& objective,
                                              const SgdSolverOptions& options);

struct DualSolverOptions {
  double data_weight = 1;
  double tolerance = 1e-3;
  int64_t passes_max = 1000;
  uint64_t seed = 0;  // of the order of rows
};

// Dual coordinate descent for the hinge loss (Hsieh, Chang, Lin, Keerthi and Sundararajan 2008, "A
// dual coordinate descent method for large-scale linear SVM"), on the dual of F:
//
//   x = a + (1/ρ)·Σ_i β_i·t_i·x_i,   β_i in [0, c],   β_i ← clip(β_i - ρ·(t_i·x·x_i - 1)/‖x_i‖²)
//
// for each output of the model (one against the rest), t_i = ±1; a bias is one more feature of
// value 1. β is kept between calls and stays feasible whatever ρ and a become; x as it comes in is
// ignored. One thread. Inaccuracy: the duality gap over the primal value, at which it stops when
// not above `tolerance`. A pass reads the rows once or twice.
std::unique_ptr<ProximalSolver> MakeDualSolver(model::LinearObjective& objective,
                                               const DualSolverOptions& options);

}  // namespace lambdaml::optim
