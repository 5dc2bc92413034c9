#include "lambdaml/store/polling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <stdexcept>

namespace lambdaml::store {
namespace {

using base::Deadline;
using base::Duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;

// Time passes by sleeping only; each sleep is kept.
class SleepClock final : public base::Clock {
 public:
  base::TimePoint Now() const override { return now_; }
  void SleepFor(Duration duration) const override {
    now_ += duration;
    sleeps.push_back(duration);
  }
  Duration passed() const { return now_ - base::TimePoint(); }

  mutable std::vector<Duration> sleeps;

 private:
  mutable base::TimePoint now_{};
};

constexpr PollIntervals kIntervals = {.first = milliseconds(4), .longest = milliseconds(100)};

// A service whose keys come into being at given times. Keeps what it was asked.
class Service {
 public:
  Service(const SleepClock& clock, std::map<std::string, Duration> births)
      : clock_(clock), births_(std::move(births)) {}

  LookForKeys Look() {
    return [this](std::span<const std::string> keys, const Deadline& deadline) {
      EXPECT_GE(deadline.Remaining(), seconds(1));
      looks.emplace_back(keys.begin(), keys.end());
      std::vector<std::optional<base::Blob>> values;
      for (const std::string& key : keys) {
        const auto birth = births_.find(key);
        const bool exists = birth != births_.end() && birth->second <= clock_.passed();
        values.push_back(exists ? std::optional(base::Blob::Copy(base::AsBytes("of " + key)))
                                : std::nullopt);
      }
      return values;
    };
  }

  std::vector<std::vector<std::string>> looks;

 private:
  const SleepClock& clock_;
  std::map<std::string, Duration> births_;
};

TEST(PollPause, BeginsWithTheFirstIntervalAndGrowsByHalfToTheLongest) {
  const SleepClock clock;
  const Deadline deadline = Deadline::After(seconds(100), clock);
  PollPause pause(kIntervals, 7);
  Duration interval = kIntervals.first;
  for (int i = 0; i < 30; ++i) {
    pause.Sleep(deadline);
    EXPECT_GE(clock.sleeps.back(), interval / 2) << i;
    EXPECT_LE(clock.sleeps.back(), interval) << i;
    interval = std::min<Duration>(interval * 3 / 2, kIntervals.longest);
  }
  EXPECT_EQ(interval, kIntervals.longest);
}

TEST(PollPause, SeedsGiveDifferentPauses) {
  const SleepClock clock;
  const Deadline deadline = Deadline::After(seconds(100), clock);
  for (const uint64_t seed : {1U, 2U, 1U}) PollPause(kIntervals, seed).Sleep(deadline);
  EXPECT_NE(clock.sleeps[0], clock.sleeps[1]);
  EXPECT_EQ(clock.sleeps[0], clock.sleeps[2]);
}

TEST(PollPause, NeverSleepsPastTheDeadline) {
  const SleepClock clock;
  const Deadline deadline = Deadline::After(microseconds(10), clock);
  PollPause pause(kIntervals, 7);
  pause.Sleep(deadline);
  pause.Sleep(deadline);
  EXPECT_THAT(clock.sleeps, ElementsAre(microseconds(10), Duration::zero()));
}

TEST(PollForAll, TakesWhatIsThereWithoutSleepingEvenAfterTheDeadline) {
  const SleepClock clock;
  Service service(clock, {{"a", {}}, {"b", {}}});
  Meter meter;
  UsualWait usual;
  const std::vector<std::string> keys = {"b", "a"};
  const Deadline past = Deadline::After(seconds(-5), clock);
  const auto values = PollForAll(keys, kIntervals, past, meter, usual, service.Look());
  EXPECT_EQ(values[0]->text(), "of b");
  EXPECT_EQ(values[1]->text(), "of a");
  EXPECT_THAT(clock.sleeps, ElementsAre());
  EXPECT_THAT(service.looks, ElementsAre(ElementsAre("b", "a")));
}

TEST(PollForAll, AsksOnlyForWhatIsStillMissing) {
  const SleepClock clock;
  Service service(clock, {{"a", milliseconds(50)}, {"b", {}}, {"c", milliseconds(1)}, {"d", {}}});
  Meter meter;
  UsualWait usual;
  const std::vector<std::string> keys = {"a", "b", "c", "d"};
  const auto values = PollForAll(keys, kIntervals, Deadline::After(seconds(9), clock), meter, usual,
                                 service.Look());
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(values[i]->text(), "of " + keys[i]);
  EXPECT_THAT(service.looks[0], ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(service.looks[1], ElementsAre("a", "c"));
  EXPECT_THAT(service.looks.back(), ElementsAre("a"));
}

TEST(PollForAll, FindsAKeyWithinTwiceItsAge) {
  for (const Duration birth : {milliseconds(10), milliseconds(70), milliseconds(200)}) {
    const SleepClock clock;
    Service service(clock, {{"a", birth}});
    Meter meter;
    UsualWait usual;
    const std::vector<std::string> keys = {"a"};
    EXPECT_TRUE(PollForAll(keys, kIntervals, Deadline::After(seconds(9), clock), meter, usual,
                           service.Look())[0]);
    EXPECT_LE(clock.passed(), birth + std::max<Duration>(birth, kIntervals.first));
    EXPECT_EQ(meter.Read().waiting, clock.passed());
  }
}

TEST(PollForAll, DoesNotAskBeforeThreeQuartersOfTheUsualWait) {
  const SleepClock clock;
  UsualWait usual;
  for (const int wait : {90, 80, 100}) usual.Add(milliseconds(wait));
  EXPECT_EQ(usual.Shortest(), Duration::zero());
  usual.Add(milliseconds(90));
  EXPECT_EQ(usual.Shortest(), milliseconds(80));
  Service service(clock, {{"a", milliseconds(50)}});
  Meter meter;
  const std::vector<std::string> keys = {"a"};
  PollForAll(keys, kIntervals, Deadline::After(seconds(9), clock), meter, usual, service.Look());
  EXPECT_THAT(clock.sleeps, ElementsAre(milliseconds(60)));
  EXPECT_EQ(usual.Shortest(), milliseconds(60)) << "the first of the four has gone, this has come";
}

TEST(PollForAll, AsksAfterTheLongestPauseHoweverLongTheUsualWait) {
  const SleepClock clock;
  UsualWait usual;
  for (int i = 0; i < 4; ++i) usual.Add(seconds(60));
  Service service(clock, {{"a", {}}});
  Meter meter;
  const std::vector<std::string> keys = {"a"};
  PollForAll(keys, kIntervals, Deadline::After(seconds(9), clock), meter, usual, service.Look());
  EXPECT_THAT(clock.sleeps, ElementsAre(kIntervals.longest));
}

TEST(PollForAll, WhatIsNeverFoundIsNoUsualWait) {
  const SleepClock clock;
  UsualWait usual;
  Service service(clock, {});
  Meter meter;
  const std::vector<std::string> keys = {"never"};
  for (int i = 0; i < 4; ++i) {
    PollForAll(keys, kIntervals, Deadline::After(seconds(9), clock), meter, usual, service.Look());
  }
  EXPECT_EQ(usual.Shortest(), Duration::zero());
}

TEST(PollForAll, LooksALastTimeAtTheDeadlineAndReturnsNothingForTheRest) {
  const SleepClock clock;
  Service service(clock, {{"last", milliseconds(30)}});
  Meter meter;
  UsualWait usual;
  const std::vector<std::string> keys = {"never", "last"};
  const auto values = PollForAll(keys, kIntervals, Deadline::After(milliseconds(30), clock), meter,
                                 usual, service.Look());
  EXPECT_FALSE(values[0]);
  EXPECT_EQ(values[1]->text(), "of last");
  EXPECT_EQ(clock.passed(), milliseconds(30));
  EXPECT_EQ(meter.Read().waiting, milliseconds(30));
}

TEST(PollForAll, AsksNothingForNoKeys) {
  const SleepClock clock;
  Service service(clock, {});
  Meter meter;
  UsualWait usual;
  EXPECT_TRUE(
      PollForAll({}, kIntervals, Deadline::After(seconds(1), clock), meter, usual, service.Look())
          .empty());
  EXPECT_TRUE(service.looks.empty());
}

TEST(PollForAll, AFailedLookEndsTheWait) {
  const SleepClock clock;
  Meter meter;
  UsualWait usual;
  const std::vector<std::string> keys = {"a"};
  const LookForKeys fail = [](auto, const Deadline&) -> std::vector<std::optional<base::Blob>> {
    throw std::runtime_error("no server");
  };
  EXPECT_THROW(PollForAll(keys, kIntervals, Deadline::After(seconds(1), clock), meter, usual, fail),
               std::runtime_error);
}

}  // namespace
}  // namespace lambdaml::store
