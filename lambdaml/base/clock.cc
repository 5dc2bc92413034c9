#include "lambdaml/base/clock.h"

#include <algorithm>
#include <limits>
#include <thread>

namespace lambdaml::base {
namespace {

class MonotonicClock final : public Clock {
 public:
  TimePoint Now() const override { return std::chrono::steady_clock::now(); }
  void SleepFor(Duration duration) const override { std::this_thread::sleep_for(duration); }
};

}  // namespace

const Clock& SystemClock() {
  static const MonotonicClock clock;
  return clock;
}

Deadline Deadline::After(Duration duration, const Clock& clock) {
  const TimePoint now = clock.Now();
  const Duration room = TimePoint::max() - now;
  return Deadline(now + std::min(duration, room), clock);
}

Deadline Deadline::AtEpochMs(long long epoch_ms, const Clock& clock) {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wall).count();
  return After(std::chrono::milliseconds(epoch_ms - wall_ms), clock);
}

Deadline Deadline::Earlier(const Deadline& a, const Deadline& b) {
  return b.Remaining() < a.Remaining() ? b : a;
}

int Deadline::RemainingPollMs() const {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(Remaining()).count();
  return static_cast<int>(std::clamp<long long>(ms, 0, std::numeric_limits<int>::max()));
}

}  // namespace lambdaml::base
