// Time behind an interface, and deadlines: no wait in the project is without one.
#pragma once

#include <chrono>

namespace lambdaml::base {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint Now() const = 0;
  virtual void SleepFor(Duration duration) const = 0;
};

// The machine's monotonic clock. The reference stays valid for ever.
const Clock& SystemClock();

// A moment on a clock after which a wait must end.
class Deadline {
 public:
  // The moment `duration` from now; one that lies in the past is expired, by at most a day.
  static Deadline After(Duration duration, const Clock& clock = SystemClock());

  // The moment given as milliseconds since the Unix epoch on the machine's wall clock (the Runtime
  // API's Lambda-Runtime-Deadline-Ms).
  static Deadline AtEpochMs(long long epoch_ms, const Clock& clock = SystemClock());

  // The earlier of the two.
  static Deadline Earlier(const Deadline& a, const Deadline& b);

  Duration Remaining() const { return at_ - clock_->Now(); }  // negative once past
  bool Expired() const { return Remaining() <= Duration::zero(); }

  // Remaining time for poll(2): whole milliseconds rounded up, 0 once past.
  int RemainingPollMs() const;

  const Clock& clock() const { return *clock_; }
  TimePoint at() const { return at_; }

 private:
  Deadline(TimePoint at, const Clock& clock) : at_(at), clock_(&clock) {}

  TimePoint at_;
  const Clock* clock_;
};

// Seconds as a double, for reports.
inline double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
// The inverse, for seconds from outside: what does not fit becomes the nearest Duration, NaN zero.
Duration FromSeconds(double seconds);

// Adds the time between its construction and its destruction to *total.
class ScopedTimer {
 public:
  explicit ScopedTimer(Duration* total, const Clock& clock = SystemClock())
      : total_(total), clock_(clock), start_(clock.Now()) {}
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;
  ~ScopedTimer() { *total_ += clock_.Now() - start_; }

 private:
  Duration* total_;
  const Clock& clock_;
  TimePoint start_;
};

}  // namespace lambdaml::base
