// A clock that goes when a test says so.
#pragma once

#include <atomic>
#include <chrono>

#include "lambdaml/base/clock.h"

namespace lambdaml::train {

// Threads: any.
class HandClock final : public base::Clock {
 public:
  base::TimePoint Now() const override { return base::TimePoint(base::Duration(now_ns_)); }
  void SleepFor(base::Duration duration) const override { now_ns_ += duration.count(); }

 private:
  mutable std::atomic<int64_t> now_ns_{base::Duration(std::chrono::hours(1)).count()};
};

}  // namespace lambdaml::train
