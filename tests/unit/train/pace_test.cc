#include "lambdaml/train/pace.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <vector>

#include "tests/unit/train/hand_clock.h"

namespace lambdaml::train {
namespace {

using base::FromSeconds;
using base::Seconds;

class PaceTest : public testing::Test {
 protected:
  Pace PaceOf(double remaining_s, double timeout_s) const {
    return {base::Deadline::After(FromSeconds(remaining_s), clock_), FromSeconds(timeout_s)};
  }
  void Pass(double seconds) const { clock_.SleepFor(FromSeconds(seconds)); }

  HandClock clock_;
};

constexpr double kGuess = 0.1;  // Pace::kSaveGuess, in seconds

// 2 · (longest lap + longest save) + reserve, the reserve a twentieth of the time-out, 2 s at most.
double LastMoment(double lap_s, double save_s, double timeout_s) {
  return 2 * (lap_s + save_s) + std::min(timeout_s / 20, 2.0);
}

TEST_F(PaceTest, EndsExactlyWhenTwoLapsTwoSavesAndTheReserveNoLongerFit) {
  struct Case {
    double timeout_s, lap_s, save_s;
  };
  for (const auto& [timeout_s, lap_s, save_s] : std::vector<Case>{
           {900, 1, 5}, {900, 0.001, 0.2}, {60, 3, 0.5}, {10, 0.25, 0.25}, {4, 0.125, 0.125}}) {
    Pace pace = PaceOf(timeout_s, timeout_s);
    Pass(lap_s);
    pace.Lap();
    Pass(save_s);
    pace.Saved(FromSeconds(save_s));
    const double left_s =
        timeout_s - lap_s - save_s - LastMoment(lap_s, std::max(save_s, kGuess), timeout_s);
    ASSERT_GT(left_s, 0);
    Pass(left_s - 0.001);
    EXPECT_FALSE(pace.MustEnd()) << timeout_s;
    Pass(0.002);
    EXPECT_TRUE(pace.MustEnd()) << timeout_s;
  }
}

TEST_F(PaceTest, TheLongestLapCountsNotTheLast) {
  Pace pace = PaceOf(100, 100);
  for (const double lap_s : {0.5, 4.0, 1.0}) {
    Pass(lap_s);
    pace.Lap();
  }
  EXPECT_DOUBLE_EQ(Seconds(pace.longest_lap()), 4);
}

TEST_F(PaceTest, SavingBelongsToNoLap) {
  Pace pace = PaceOf(100, 100);
  Pass(1);
  pace.Lap();
  Pass(30);
  pace.Saved(FromSeconds(30));
  Pass(2);
  pace.Lap();
  EXPECT_DOUBLE_EQ(Seconds(pace.longest_lap()), 2);
  EXPECT_DOUBLE_EQ(Seconds(pace.longest_save()), 30);
}

TEST_F(PaceTest, WhatEarlierGenerationsSawCountsFromTheStart) {
  const auto end = base::Deadline::After(FromSeconds(100), clock_);
  const Pace fresh(end, FromSeconds(100));
  const Pace informed(end, FromSeconds(100), FromSeconds(45), FromSeconds(4));
  EXPECT_FALSE(fresh.MustEnd());
  EXPECT_FALSE(informed.MustEnd());
  Pass(0.001);
  EXPECT_TRUE(informed.MustEnd()) << "2 · (45 + 4) + 2 s are left and no more";
}

// Whatever the laps: the last round before it says so leaves time for one more lap and a save of
// the longest kind, so nothing is ever cut off while no lap is twice as long as all before.
TEST_F(PaceTest, LeavesTimeForOneMoreLapAndSave) {
  for (const double timeout_s : {5.0, 60.0, 900.0}) {
    for (const double lap_s : {0.01, 0.1, 0.5}) {
      Pace pace = PaceOf(timeout_s, timeout_s);
      double passed_s = 0;
      while (!pace.MustEnd()) {
        Pass(lap_s);
        passed_s += lap_s;
        pace.Lap();
      }
      EXPECT_GE(timeout_s - passed_s, lap_s + kGuess + std::min(timeout_s / 20, 2.0));
      EXPECT_LE(timeout_s - passed_s, LastMoment(lap_s, kGuess, timeout_s) + 1e-9);
    }
  }
}

}  // namespace
}  // namespace lambdaml::train
