// What a function of the local platform is: the settings that Lambda's CreateFunction,
// PutFunctionConcurrency and PutFunctionEventInvokeConfig take.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/clock.h"

namespace lambdaml::faas {

struct FunctionConfig {
  std::string name;     // 1 to 64 letters, digits, '-' and '_'
  std::string program;  // path of the custom runtime
  std::vector<std::string> arguments;
  int memory_mb = 128;  // of 2^20 bytes; an environment that allocates more is killed
  base::Duration timeout = std::chrono::seconds(3);        // of one invocation
  base::Duration init_timeout = std::chrono::seconds(10);  // from process start to first /next
  // Beside those that Lambda sets. Nothing is inherited from this process.
  std::vector<std::pair<std::string, std::string>> environment;
  int concurrency_max = 1000;  // invocations, hence environments, at one time
  std::string scratch_parent;  // folder in which each environment's /tmp is made
  std::string log_directory;   // one file per environment: <name>-<number>.log, appended to
  // Pause before each repetition of a failed event; as many repetitions as there are pauses.
  std::vector<base::Duration> event_retry_delays = {std::chrono::minutes(1),
                                                    std::chrono::minutes(2)};
};

}  // namespace lambdaml::faas
