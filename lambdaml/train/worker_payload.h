// What a worker is started with.
#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// The payload of one invocation of a rank: the job without what is the trigger's own business, and
// without secrets. attempt counts from 1 in each generation.
std::string WorkerPayload(const wire::Job& job, int64_t rank, int64_t generation, int64_t attempt);

}  // namespace lambdaml::train
