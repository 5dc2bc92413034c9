#include "lambdaml/train/local_solver.h"

#include "lambdaml/base/random.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

// Local steps need not be more exact than the consensus they serve (Boyd et al. 2011, §3.4.4).
constexpr double kSolverTolerance = 1e-3;
// Early rounds, where rho is small, would iterate down to the noise of float32 gradients; the next
// round starts from where this one stops.
constexpr int64_t kLbfgsIterationsMax = 20;

}  // namespace

std::unique_ptr<optim::ProximalSolver> MakeLocalSolver(model::LinearObjective& objective,
                                                       const Problem& problem, const wire::Job& job,
                                                       double lr) {
  const double data_weight = 1 / static_cast<double>(problem.rows_total);
  const uint64_t seed =
      base::MixSeed(static_cast<uint64_t>(job.seed), static_cast<uint64_t>(job.worker_index));
  if (job.local_solver == wire::LocalSolver::kSgd) {
    return optim::MakeSgdSolver(objective, {.data_weight = data_weight,
                                            .lr = lr,
                                            .batch_size = *job.batch_size,
                                            .n_epochs = *job.n_epochs,
                                            .seed = seed});
  }
  if (objective.loss() == model::LinearLoss::kHinge) {
    return optim::MakeDualSolver(
        objective, {.data_weight = data_weight, .tolerance = kSolverTolerance, .seed = seed});
  }
  return optim::MakeLbfgsSolver(objective, {.data_weight = data_weight,
                                            .tolerance = kSolverTolerance,
                                            .iterations_max = kLbfgsIterationsMax});
}

}  // namespace lambdaml::train
