// What functions of this machine inherit of the program's environment, so that a worker reaches the
// services that its trigger reaches. On AWS the function's role and settings stand in for it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// The variables that say where services are and how to get in (the AWS tools' own, certificates,
// proxies, REDIS_PASSWORD), the region that the AWS config file names, and the password of the
// channel's URL. None at all for a job that stays on this machine. Secrets go this way only, never
// into a payload.
std::vector<std::pair<std::string, std::string>> ServiceEnvironment(const wire::Job& job);

}  // namespace lambdaml::train
