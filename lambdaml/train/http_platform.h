// Functions behind URLs: --platform http. Whoever runs them starts, ends and bills them.
#pragma once

#include <memory>

#include "lambdaml/train/platform.h"

namespace lambdaml::train {

// job.function_url: one URL, or several with commas between them. Workers of other machines need
// job.run_folder. Errors: kInvalidArgument.
std::unique_ptr<Platform> MakeHttpPlatform(const wire::Job& job);

}  // namespace lambdaml::train
