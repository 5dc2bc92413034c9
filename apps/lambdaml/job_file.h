// Job files: TOML with the names of the options, or the JSON payload of a LambdaML trigger.
#pragma once

#include <string>

#include "lambdaml/wire/job.h"

namespace lambdaml::cli {

// Reads a job file, JSON if its first character is '{', else TOML. Strict: unknown keys, wrong
// types and values out of range are refused. Errors: kInvalidArgument with "file:line: what" (JSON:
// the key); kNotFound.
wire::Job ReadJobFile(const std::string& path);

}  // namespace lambdaml::cli
