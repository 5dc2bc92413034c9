// How the ranks of a job tell its trigger of one that keeps them waiting: by a record in the run's
// store, which the trigger looks at now and then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/store/store.h"

namespace lambdaml::train {

struct LateRank {
  int64_t generation = 0;  // of those that wait
  int64_t rank = 0;

  bool operator==(const LateRank&) const = default;
};

// Replaces an earlier report: whoever still waits says so again. One request. Errors: the store's.
void ReportLate(store::Store& run_store, const std::string& job_id, const LateRank& late,
                const base::Deadline& deadline);

// The last report since the last call, if there is one. One request, and one more for a report.
// Errors: the store's; kInvalidData.
std::optional<LateRank> TakeLate(store::Store& run_store, const std::string& job_id,
                                 const base::Deadline& deadline);

}  // namespace lambdaml::train
