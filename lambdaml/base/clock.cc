#include "lambdaml/base/clock.h"

#include <algorithm>
#include <cmath>
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
  // How long ago a deadline passed matters to nobody; a bound keeps Remaining() from overflowing.
  constexpr Duration kPastMax = std::chrono::hours(24);
  const TimePoint now = clock.Now();
  const Duration room = TimePoint::max() - now;
  return Deadline(now + std::clamp(duration, -kPastMax, room), clock);
}

Deadline Deadline::AtEpochMs(long long epoch_ms, const Clock& clock) {
  using std::chrono::milliseconds;
  // The number comes from outside: bounded to 250 years from 1970, it fits into nanoseconds.
  const milliseconds at(std::clamp(epoch_ms, 0LL, 8'000'000'000'000LL));
  return After(at - std::chrono::system_clock::now().time_since_epoch(), clock);
}

Deadline Deadline::Earlier(const Deadline& a, const Deadline& b) {
  return b.Remaining() < a.Remaining() ? b : a;
}

Duration FromSeconds(double seconds) {
  const std::chrono::duration<double> wanted(seconds);
  // The largest Duration rounds up to a double that no longer fits: from there on it saturates.
  if (wanted >= std::chrono::duration<double>(Duration::max())) return Duration::max();
  if (wanted <= std::chrono::duration<double>(Duration::min())) return Duration::min();
  if (std::isnan(seconds)) return Duration::zero();
  return std::chrono::duration_cast<Duration>(wanted);
}

int Deadline::RemainingPollMs() const {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(Remaining()).count();
  return static_cast<int>(std::clamp<long long>(ms, 0, std::numeric_limits<int>::max()));
}

}  // namespace lambdaml::base
