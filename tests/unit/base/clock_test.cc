#include "lambdaml/base/clock.h"

#include <chrono>
#include <gtest/gtest.h>
#include <limits>

namespace lambdaml::base {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

class FakeClock final : public Clock {
 public:
  TimePoint Now() const override { return now_; }
  void SleepFor(Duration duration) const override { now_ += duration; }

 private:
  mutable TimePoint now_{hours(1)};
};

TEST(DeadlineTest, ExpiresExactlyWhenItsTimeHasCome) {
  const FakeClock clock;
  const Deadline deadline = Deadline::After(seconds(5), clock);
  EXPECT_EQ(deadline.Remaining(), seconds(5));
  clock.SleepFor(seconds(5) - nanoseconds(1));
  EXPECT_FALSE(deadline.Expired());
  clock.SleepFor(nanoseconds(1));
  EXPECT_TRUE(deadline.Expired());
  clock.SleepFor(seconds(2));
  EXPECT_EQ(deadline.Remaining(), seconds(-2));
}

TEST(DeadlineTest, AnEndlessOneDoesNotOverflow) {
  const FakeClock clock;
  const Deadline deadline = Deadline::After(Duration::max(), clock);
  EXPECT_EQ(deadline.at(), TimePoint::max());
  EXPECT_GT(deadline.Remaining(), hours(24) * 365 * 200);
  EXPECT_FALSE(deadline.Expired());
}

TEST(DeadlineTest, OneInThePastIsExpiredHoweverFarBack) {
  const FakeClock clock;
  const Deadline deadline = Deadline::After(Duration::min(), clock);
  clock.SleepFor(hours(24) * 365 * 100);
  EXPECT_TRUE(deadline.Expired());
  EXPECT_LT(deadline.Remaining(), Duration::zero());
}

TEST(DeadlineTest, EarlierIsTheOneThatComesFirst) {
  const FakeClock clock;
  const Deadline soon = Deadline::After(seconds(1), clock);
  const Deadline late = Deadline::After(seconds(2), clock);
  EXPECT_EQ(Deadline::Earlier(soon, late).at(), soon.at());
  EXPECT_EQ(Deadline::Earlier(late, soon).at(), soon.at());
}

TEST(DeadlineTest, PollMillisecondsAreRoundedUpAndNeverNegative) {
  const FakeClock clock;
  const Deadline deadline = Deadline::After(milliseconds(2) + nanoseconds(1), clock);
  EXPECT_EQ(deadline.RemainingPollMs(), 3);
  clock.SleepFor(milliseconds(2));
  EXPECT_EQ(deadline.RemainingPollMs(), 1);
  clock.SleepFor(milliseconds(2));
  EXPECT_EQ(deadline.RemainingPollMs(), 0);
  EXPECT_EQ(Deadline::After(Duration::max(), clock).RemainingPollMs(),
            std::numeric_limits<int>::max());
}

TEST(DeadlineTest, EpochMillisecondsAreTakenFromTheWallClock) {
  const FakeClock clock;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const auto in_an_hour = std::chrono::duration_cast<milliseconds>(wall + hours(1)).count();
  const Deadline deadline = Deadline::AtEpochMs(in_an_hour, clock);
  EXPECT_LE(deadline.Remaining(), hours(1));
  EXPECT_GT(deadline.Remaining(), hours(1) - seconds(30));
}

TEST(DeadlineTest, AbsurdEpochMillisecondsAreStillDeadlines) {
  const FakeClock clock;
  EXPECT_FALSE(Deadline::AtEpochMs(std::numeric_limits<long long>::max(), clock).Expired());
  EXPECT_TRUE(Deadline::AtEpochMs(std::numeric_limits<long long>::min(), clock).Expired());
  EXPECT_TRUE(Deadline::AtEpochMs(0, clock).Expired());
}

TEST(SecondsTest, ConvertBothWays) {
  EXPECT_EQ(FromSeconds(1.5), milliseconds(1500));
  EXPECT_EQ(FromSeconds(-0.25), milliseconds(-250));
  EXPECT_DOUBLE_EQ(Seconds(milliseconds(1500)), 1.5);
}

TEST(SecondsTest, WhatDoesNotFitBecomesTheNearestDuration) {
  EXPECT_EQ(FromSeconds(1e30), Duration::max());
  EXPECT_EQ(FromSeconds(-1e30), Duration::min());
  EXPECT_EQ(FromSeconds(std::numeric_limits<double>::infinity()), Duration::max());
  EXPECT_EQ(FromSeconds(std::numeric_limits<double>::quiet_NaN()), Duration::zero());
}

TEST(ScopedTimerTest, AddsTheTimeOfItsScope) {
  const FakeClock clock;
  Duration total = seconds(1);
  {
    const ScopedTimer timer(&total, clock);
    clock.SleepFor(milliseconds(250));
  }
  EXPECT_EQ(total, milliseconds(1250));
}

TEST(SystemClockTest, NeverRunsBackwardsAndSleepsAtLeastAsLongAsAsked) {
  const TimePoint before = SystemClock().Now();
  SystemClock().SleepFor(milliseconds(2));
  EXPECT_GE(SystemClock().Now() - before, milliseconds(2));
}

}  // namespace
}  // namespace lambdaml::base
