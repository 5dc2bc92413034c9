// What a job of a linear model leaves open.
#pragma once

#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Settles algorithm, regulariser, momentum and epochs, and refuses combinations that cannot work,
// saying what to change: ADMM with async, early stopping without validation rows or with async, a
// penalty's kind without its strength. Errors: kInvalidArgument.
void ResolveLinearJob(wire::Job& job);

// Settles the penalty's strength, which ResolveLinearJob leaves open for ADMM: 1/rows, as C = 1 is
// in LIBLINEAR and scikit-learn. ADMM runs to convergence, and on separable data there is nothing
// to converge to without a penalty.
void SettleLambda(wire::Job& job, int64_t rows);

// The batch size of a job whose largest shard has `rows_max` training rows, if it gave none: a 20th
// of them, within 16 to 10,000. Enough steps to learn in an epoch, enough rows to make a round pay.
int64_t DefaultBatchSize(int64_t rows_max);

}  // namespace lambdaml::train
