// Whether a job on a network fits the memory of its functions: said before they are started, not by
// the platform when it kills them.
#pragma once

#include <cstdint>

#include "lambdaml/nn/architecture.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// How many threads compute in a function of so much memory (Lambda developer guide, "Configure
// function memory": 1,769 MB buy one CPU).
int ThreadCountOf(int64_t memory_mb);

struct CnnMemoryQuestion {
  nn::Architecture architecture = nn::Architecture::kMobileNet;
  int64_t n_classes = 10;
  uint64_t image_bytes = 0;  // of one worker
};

// The most bytes that a worker of the job needs: the program, images, the network and a step of its
// batch, optimiser, exchange, epochs that are kept.
uint64_t CnnMemoryBytes(const wire::Job& job, const CnnMemoryQuestion& question);

// Errors: kInvalidArgument if that is more than job.memory_mb, with the largest batch that fits and
// the memory that this batch wants.
void CheckCnnMemory(const wire::Job& job, const CnnMemoryQuestion& question);

}  // namespace lambdaml::train
