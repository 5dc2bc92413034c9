#include "lambdaml/store/polling.h"

#include <algorithm>
#include <optional>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/check.h"

namespace lambdaml::store {
namespace {

constexpr base::Duration kLookTimeMin = std::chrono::seconds(1);
constexpr int kSpeedUpMax = 10;  // of the first pause, where the service is faster than most

base::Deadline DeadlineOfLook(const base::Deadline& deadline) {
  return deadline.Remaining() >= kLookTimeMin
             ? deadline
             : base::Deadline::After(kLookTimeMin, deadline.clock());
}

// Differs between processes, machines and calls.
uint64_t SeedOf(base::TimePoint start) {
  return base::MixSeed(static_cast<uint64_t>(start.time_since_epoch().count()),
                       static_cast<uint64_t>(::getpid()));
}

}  // namespace

PollPause::PollPause(const PollIntervals& intervals, uint64_t seed)
    : interval_(intervals.first), longest_(intervals.longest), random_(seed) {}

void PollPause::Sleep(const base::Deadline& deadline) {
  const double fraction = (1 + random_.Uniform()) / 2;
  const base::Duration pause(
      static_cast<base::Duration::rep>(fraction * static_cast<double>(interval_.count())));
  deadline.clock().SleepFor(std::clamp(deadline.Remaining(), base::Duration::zero(), pause));
  interval_ = std::min(interval_ + interval_ / 2, longest_);
}

void UsualWait::Add(base::Duration wait) {
  const std::lock_guard lock(mutex_);
  last_[next_] = wait;
  next_ = (next_ + 1) % last_.size();
}

base::Duration UsualWait::Shortest() const {
  const std::lock_guard lock(mutex_);
  return *std::ranges::min_element(last_);
}

std::vector<std::optional<base::Blob>> PollForAll(std::span<const std::string> keys,
                                                  const PollIntervals& intervals,
                                                  const base::Deadline& deadline, Meter& meter,
                                                  UsualWait& usual, const LookForKeys& look) {
  const base::Clock& clock = deadline.clock();
  const base::TimePoint start = clock.Now();
  const base::Duration quiet =
      std::min({usual.Shortest() * 3 / 4, base::Duration(intervals.longest), deadline.Remaining()});
  if (!keys.empty() && quiet > intervals.first) clock.SleepFor(quiet);
  std::vector<std::optional<base::Blob>> values(keys.size());
  std::vector<std::string> missing(keys.begin(), keys.end());
  std::vector<size_t> places(keys.size());  // missing[i] belongs to values[places[i]]
  for (size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::optional<PollPause> pause;
  while (!missing.empty()) {
    const bool is_last = deadline.Expired();
    const base::TimePoint look_start = clock.Now();
    auto found = look(missing, DeadlineOfLook(deadline));
    LAMBDAML_CHECK(found.size() == missing.size());
    size_t missing_count = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i]) {
        values[places[i]] = std::move(found[i]);
      } else {
        places[missing_count] = places[i];
        std::swap(missing[missing_count++], missing[i]);
      }
    }
    missing.resize(missing_count);
    if (is_last || missing.empty()) break;
    if (!pause) {
      const base::Duration look_time = clock.Now() - look_start;
      const base::Duration first =
          std::clamp(look_time, intervals.first / kSpeedUpMax, intervals.first);
      pause.emplace(PollIntervals{first, intervals.longest}, SeedOf(start));
    }
    pause->Sleep(deadline);
  }
  const base::Duration wait = clock.Now() - start;
  meter.CountWaiting(wait);
  if (!keys.empty() && missing.empty()) usual.Add(wait);
  return values;
}

}  // namespace lambdaml::store
