// Where a run's model goes, checked before the run.
#pragma once

#include <string>

#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Beside the model: "model.txt.checkpoint", "s3://bucket/model.checkpoint?region=…".
std::string DefaultCheckpoint(const std::string& output);

// Fails now rather than after the training if the model cannot be written, or would overwrite data.
// Errors: kInvalidArgument; those of place::CheckWritable.
void CheckOutput(const wire::Job& job);

}  // namespace lambdaml::train
