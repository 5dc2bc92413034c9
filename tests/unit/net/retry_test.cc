#include "lambdaml/net/retry.h"

#include <gtest/gtest.h>

namespace lambdaml::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A clock that stands still but for sleeping.
class SleepClock final : public base::Clock {
 public:
  base::TimePoint Now() const override { return now_; }
  void SleepFor(base::Duration duration) const override {
    now_ += duration;
    longest_ = std::max(longest_, duration);
  }
  base::Duration Elapsed() const { return now_.time_since_epoch(); }
  base::Duration longest() const { return longest_; }

 private:
  mutable base::TimePoint now_;
  mutable base::Duration longest_ = {};
};

TEST(Retry, GivesUpWhenTheOutageHasLastedTooLong) {
  const SleepClock clock;
  Retry retry(base::Deadline::After(std::chrono::hours(1), clock), 1);
  int attempts = 1;
  while (retry.Again()) ++attempts;
  EXPECT_LE(clock.Elapsed(), kOutageMax);
  EXPECT_GT(clock.Elapsed(), kOutageMax - seconds(3));
  EXPECT_GT(attempts, 10);
  EXPECT_EQ(retry.failures(), attempts);
  EXPECT_LE(clock.longest(), seconds(2));
}

TEST(Retry, NeverSleepsPastTheDeadline) {
  const SleepClock clock;
  Retry retry(base::Deadline::After(milliseconds(500), clock), 2);
  while (retry.Again()) {
  }
  EXPECT_LT(clock.Elapsed(), milliseconds(500));
}

TEST(Retry, WaitsAsLongAsTheServiceAsks) {
  const SleepClock clock;
  Retry retry(base::Deadline::After(seconds(10), clock), 3);
  EXPECT_TRUE(retry.Again(seconds(7)));
  EXPECT_GE(clock.Elapsed(), seconds(7));
  EXPECT_FALSE(retry.Again(seconds(7)));
}

TEST(Retry, CallersWithOtherSeedsTryAtOtherMoments) {
  const SleepClock first;
  const SleepClock second;
  Retry(base::Deadline::After(seconds(10), first), 4).Again();
  Retry(base::Deadline::After(seconds(10), second), 5).Again();
  EXPECT_NE(first.Elapsed(), second.Elapsed());
}

}  // namespace
}  // namespace lambdaml::net
