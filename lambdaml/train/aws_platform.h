// The function that `lambdaml deploy` has brought to AWS Lambda: --platform aws.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/train/platform.h"

namespace lambdaml::train {

// Three requests: the function's configuration, its reserved concurrency, the account's quota.
// Errors: as MakePlatform.
std::unique_ptr<Platform> MakeAwsPlatform(wire::Job& job, const std::string& worker_program);

// Variables of the function's environment, set by config/function.yaml.
inline constexpr const char* kJobsVariable = "LAMBDAML_JOBS";               // the shared folder
inline constexpr const char* kSelfInvokeVariable = "LAMBDAML_SELF_INVOKE";  // "true", or not set
inline constexpr const char* kWorkerVariable = "LAMBDAML_WORKER";  // SHA-256 of the program, hex

}  // namespace lambdaml::train
