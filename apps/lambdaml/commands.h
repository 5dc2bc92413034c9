// The commands. Each does its work, prints its result to standard output, and throws base::Error.
#pragma once

#include <string_view>

#include "apps/lambdaml/command_line.h"

namespace lambdaml::cli {

void Run(const TrainArguments& arguments);
void Run(const PredictArguments& arguments);
void Run(const EvaluateArguments& arguments);
void Run(const DescribeArguments& arguments);
void Run(const SplitArguments& arguments);
void Run(const ConvertArguments& arguments);
void Run(const GenerateArguments& arguments);
void Run(const PackageArguments& arguments);
void Run(const PsArguments& arguments);
void Run(const DeployArguments& arguments);
void Run(const DestroyArguments& arguments);
void Run(const StatusArguments& arguments);
void Run(const LogsArguments& arguments);
void Run(const CancelArguments& arguments);

// The part of `status` that is about one job.
void ShowJob(const StatusArguments& arguments);

// Writes results to standard output at once. Errors: kResourceExhausted, kUnavailable (a full disk,
// a closed pipe).
void WriteOutput(std::string_view text);

}  // namespace lambdaml::cli
