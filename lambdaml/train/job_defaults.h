// Settles and checks what a job leaves open, before anything is started or spent.
#pragma once

#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Fills what follows from other keys (data and channel from LambdaML's keys, the output, and what
// the model's workload settles) and refuses options that the model does not take and combinations
// that cannot work, saying what to change. Errors: kInvalidArgument.
void ResolveJob(wire::Job& job);

// The most epochs of a job that is resolved: of ADMM, its rounds.
int64_t EpochsMax(const wire::Job& job);

}  // namespace lambdaml::train
