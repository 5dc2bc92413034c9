// When a generation must end: what remains of its invocations against what a round, an evaluation
// and a checkpoint have taken so far. Rank 0 decides for all (comm::Announcement).
#pragma once

#include <algorithm>
#include <chrono>

#include "lambdaml/base/clock.h"

namespace lambdaml::train {

// Threads: one.
class Pace {
 public:
  // `end`: of the invocation that ends first; `timeout`: of a whole invocation. `longest_lap` and
  // `longest_save`: what earlier generations have seen.
  Pace(const base::Deadline& end, base::Duration timeout, base::Duration longest_lap = {},
       base::Duration longest_save = kSaveGuess)
      : end_(end),
        reserve_(std::min<base::Duration>(timeout / 20, std::chrono::seconds(2))),
        longest_lap_(longest_lap),
        longest_save_(longest_save),
        lap_start_(end.clock().Now()) {}

  // A round is over. What lies between two rounds (a step, an evaluation) belongs to the lap.
  void Lap() {
    const base::TimePoint now = end_.clock().Now();
    longest_lap_ = std::max(longest_lap_, now - lap_start_);
    lap_start_ = now;
  }

  // A state has been saved in so much time, which is no lap's.
  void Saved(base::Duration time) {
    longest_save_ = std::max(longest_save_, time);
    lap_start_ = end_.clock().Now();
  }

  // Whether another lap, and saving after it, might not end in time: each counts twice, because
  // the next may take longer than any before.
  bool MustEnd() const { return end_.Remaining() < 2 * (longest_lap_ + longest_save_) + reserve_; }

  base::Duration longest_lap() const { return longest_lap_; }
  base::Duration longest_save() const { return longest_save_; }

  // Until it is known how long saving takes.
  static constexpr base::Duration kSaveGuess = std::chrono::milliseconds(100);

 private:
  base::Deadline end_;
  // For what is not measured: a service's hiccup, the way of the answer back.
  base::Duration reserve_;
  base::Duration longest_lap_;
  base::Duration longest_save_;
  base::TimePoint lap_start_;
};

}  // namespace lambdaml::train
