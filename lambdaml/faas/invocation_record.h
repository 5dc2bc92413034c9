// What one invocation cost, as the REPORT line of Lambda's log says it.
#pragma once

#include <cstdint>
#include <string>

namespace lambdaml::faas {

struct InvocationRecord {
  std::string function_name;
  std::string request_id;
  int attempt = 1;                     // 2, 3, … for the repetitions of a failed event
  std::string error_type;              // "" when the handler returned; else e.g. "Sandbox.Timedout"
  bool cold_start = false;             // the first invocation of its environment
  double init_duration_ms = 0;         // process start to first /next; 0 when warm
  double duration_ms = 0;              // payload handed over to answer received
  int64_t billed_duration_ms = 0;      // both, rounded up
  int memory_mb = 0;                   // the function's setting, which is what is billed
  uint64_t memory_used_max_bytes = 0;  // by the environment so far: resident
  std::string log_path;                // of the environment
};

}  // namespace lambdaml::faas
