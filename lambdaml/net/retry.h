// When to try again: exponential back-off with full jitter, within a deadline.
//
// Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 (full jitter).
#pragma once

#include <optional>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/random.h"

namespace lambdaml::net {

// How long a service may stay away before a call gives up, however far its deadline is: longer than
// a server takes to restart, short enough that a dead endpoint is reported in seconds.
inline constexpr base::Duration kOutageMax = std::chrono::seconds(20);

// For a service that has not answered yet, where a person waits for its first answer: it will
// rather not be there, or the address be wrong, than start anew just now.
inline constexpr base::Duration kFirstContactMax = std::chrono::seconds(3);

// One call's attempts. Threads: one.
class Retry {
 public:
  // `seed` must differ between callers that would otherwise try again at the same moments.
  Retry(const base::Deadline& deadline, uint64_t seed, base::Duration outage_max = kOutageMax);

  // After a failed attempt: sleeps and returns true; or returns false, at once, if the deadline, or
  // outage_max since the first failure, would be over before another attempt could be made.
  // `at_least`: what the service asked for (Retry-After).
  bool Again(base::Duration at_least = {});

  int failures() const { return failures_; }

 private:
  const base::Deadline deadline_;
  const base::Duration outage_max_;
  base::Random random_;
  std::optional<base::Deadline> outage_end_;
  int failures_ = 0;
};

}  // namespace lambdaml::net
