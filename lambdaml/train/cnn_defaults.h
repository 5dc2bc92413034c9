// What a job on a convolutional network leaves open, settled.
#pragma once

#include <optional>

#include "lambdaml/nn/architecture.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Nothing if the model is no network.
std::optional<nn::Architecture> ArchitectureOf(wire::ModelKind model);

// Fills defaults (docs/cnn.md has them), turns the file names of LambdaML's payloads into folders
// of our format, and refuses what cannot work. Errors: kInvalidArgument.
void ResolveCnnJob(wire::Job& job);

}  // namespace lambdaml::train
