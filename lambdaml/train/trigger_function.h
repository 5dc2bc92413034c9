// The trigger as a function: --trigger lambda. It invokes the workers of one generation, waits for
// them, and, unless the job is finished then, invokes the function anew for the next generation: a
// hop. So nothing else need run while a job does. Everything that the next hop must know is in the
// run's store (job_record.h) and in the checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"

namespace lambdaml::train {

// What such an invocation is given.
struct TriggerHop {
  std::string run;  // URL of the run's store
  std::string job_id;
  int64_t hop = 1;
};

std::string ToPayload(const TriggerHop& hop);
// Nothing if the payload is another: a worker's. Errors: kInvalidData.
std::optional<TriggerHop> TriggerHopIn(const base::Json& payload);

struct TriggerEnvironment {
  std::string function_name;
  std::string invocation;   // its id
  int64_t memory_mb = 128;  // of this function, which the run pays for too
  base::Deadline deadline;  // of this invocation
};

// A job that goes on for longer has lost its way: at 15 minutes a hop it is ten days.
inline constexpr int64_t kHopsMax = 1000;

// Runs one hop; returns the function's answer, for its log. A job that fails says so in its record,
// and this returns all the same. Errors: those of the record's store.
std::string RunTriggerHop(const TriggerHop& hop, const TriggerEnvironment& environment);

}  // namespace lambdaml::train
