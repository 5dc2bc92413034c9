// ADMM's local step for a job: which proximal solver, with which settings.
#pragma once

#include <memory>

#include "lambdaml/model/linear_objective.h"
#include "lambdaml/optim/proximal_solver.h"
#include "lambdaml/train/algorithm.h"

namespace lambdaml::train {

// exact: L-BFGS for the logistic loss, dual coordinate descent for the hinge loss. sgd: n_epochs of
// mini-batch SGD with the learning rate `lr`.
std::unique_ptr<optim::ProximalSolver> MakeLocalSolver(model::LinearObjective& objective,
                                                       const Problem& problem, const wire::Job& job,
                                                       double lr);

}  // namespace lambdaml::train
