#include "lambdaml/ps/lambdaml_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

#include "support/expect_error.h"

namespace lambdaml::ps {
namespace {

using test::ExpectError;
using ::testing::Each;
using ::testing::ElementsAre;

using Values = std::vector<double>;

class LambdamlModelsTest : public ::testing::Test {
 protected:
  LambdamlModels& Models() {
    if (!models_) models_.emplace(folder_, 10, budget_);
    return *models_;
  }
  void UseFolder() { folder_ = directory_.path() + "/ps"; }
  void Restart() { models_.reset(); }

  Values Pull(int64_t iteration, int worker) {
    return Models().With("w.b", [&](LambdamlModel& m) { return m.Pull(iteration, worker); });
  }
  void Push(int64_t iteration, int worker, const Values& change, double scale = 1) {
    Models().With("w.b", [&](LambdamlModel& m) { m.Push(iteration, worker, change, scale); });
  }
  bool CanPull(int64_t iteration) {
    return Models().With("w.b", [&](LambdamlModel& m) { return m.CanPull(iteration); });
  }
  bool CanPush(int64_t iteration) {
    return Models().With("w.b", [&](LambdamlModel& m) { return m.CanPush(iteration); });
  }
  // The model set to known values, with one worker's iteration 0.
  void RegisterZeros(int parallelism) {
    Models().Register("w.b", 3, parallelism);
    Values start = Pull(0, 0);
    for (double& value : start) value = -value;
    for (int worker = 0; worker < parallelism; ++worker) Pull(0, worker);
    for (int worker = 0; worker < parallelism; ++worker) {
      Push(0, worker, worker == 0 ? start : Values(3));
    }
  }

  base::TemporaryDirectory directory_{::testing::TempDir(), "ps_models_"};
  MemoryBudget budget_{1 << 20};
  std::string folder_;
  std::optional<LambdamlModels> models_;
};

TEST_F(LambdamlModelsTest, WorkersPullAndPushInTurns) {
  Models().Register("w.b", 3, 2);
  EXPECT_TRUE(Models().Exists("w.b"));
  EXPECT_FALSE(Models().Exists("other"));
  EXPECT_TRUE(CanPull(0));
  EXPECT_FALSE(CanPush(0));
  Pull(0, 0);
  EXPECT_FALSE(CanPush(0)) << "only one of two has pulled";
  const Values start = Pull(0, 1);
  EXPECT_THAT(start, Each(::testing::AllOf(::testing::Ge(0), ::testing::Lt(1))));
  EXPECT_TRUE(CanPush(0));
  Push(0, 1, {1, 2, 3}, 0.5);
  EXPECT_FALSE(CanPull(0));
  EXPECT_FALSE(CanPull(1)) << "only one of two has pushed";
  Push(0, 0, {10, 20, 30});
  EXPECT_TRUE(CanPull(1));
  EXPECT_FALSE(CanPush(1));
  EXPECT_THAT(Pull(1, 0), ElementsAre(start[0] + 10 + 0.5, start[1] + 20 + 1, start[2] + 30 + 1.5));
}

TEST_F(LambdamlModelsTest, ChangesAreAddedInTheOrderOfWorkers) {
  RegisterZeros(3);
  for (const int worker : {2, 0, 1}) {
    Push(1, worker, {worker == 0 ? 1e16 : (worker == 1 ? 1.0 : -1e16), 0, 0});
  }
  EXPECT_EQ(Pull(2, 0)[0], (1e16 + 1.0) - 1e16);
}

TEST_F(LambdamlModelsTest, WhatIsRepeatedCountsOnce) {
  RegisterZeros(2);
  Pull(1, 0);
  Pull(1, 0);
  EXPECT_FALSE(CanPush(1));
  Pull(1, 1);
  EXPECT_TRUE(CanPush(1));
  Push(1, 0, {1, 1, 1});
  Push(1, 0, {1, 1, 1});
  Push(1, 1, {1, 1, 1});
  Push(1, 1, {1, 1, 1});
  EXPECT_THAT(Pull(2, 0), ElementsAre(2, 2, 2));
}

TEST_F(LambdamlModelsTest, WhatDoesNotFitIsRefused) {
  RegisterZeros(2);
  using enum base::ErrorCode;
  ExpectError(kInvalidArgument, "workers 0 to 1, not 2", [&] { Pull(1, 2); });
  ExpectError(kInvalidArgument, "workers 0 to 1, not -1", [&] { Push(1, -1, {1, 1, 1}); });
  ExpectError(kInvalidArgument, "iteration 5", [&] { Pull(5, 0); });
  ExpectError(kInvalidArgument, "iteration 2", [&] { Push(2, 0, {1, 1, 1}); });
  ExpectError(kInvalidArgument, "pushes 2", [&] { Push(1, 0, {1, 1}); });
  ExpectError(kNotFound, "no such model",
              [&] { Models().With("other", [](LambdamlModel& m) { return m.CanPull(0); }); });
  ExpectError(kAlreadyExists, "in use", [&] { Models().Register("w.b", 3, 2); });
  ExpectError(kInvalidArgument, "elements", [&] { Models().Register("a", 0, 2); });
  ExpectError(kInvalidArgument, "workers", [&] { Models().Register("a", 1, 0); });
  ExpectError(kInvalidArgument, "1 to 1000 bytes", [&] { Models().Register("", 1, 1); });
  ExpectError(kResourceExhausted, "full", [&] { Models().Register("a", 1 << 30, 1); });
}

TEST_F(LambdamlModelsTest, ARegistrationMayBeRepeatedUntilTheModelIsUsed) {
  Models().Register("w.b", 3, 2);
  Models().Register("w.b", 3, 2);
  ExpectError(base::ErrorCode::kAlreadyExists, "in use", [&] { Models().Register("w.b", 4, 2); });
  Pull(0, 0);
  ExpectError(base::ErrorCode::kAlreadyExists, "in use", [&] { Models().Register("w.b", 3, 2); });
}

TEST_F(LambdamlModelsTest, ARestartChangesNothing) {
  UseFolder();
  RegisterZeros(2);
  Pull(1, 0);
  Restart();
  EXPECT_FALSE(CanPush(1));
  Pull(1, 1);
  Restart();
  EXPECT_TRUE(CanPush(1));
  Push(1, 1, {1, 2, 3});
  Restart();
  Push(1, 1, {1, 2, 3});
  Push(1, 0, {10, 20, 30});
  Restart();
  EXPECT_TRUE(CanPull(2));
  EXPECT_THAT(Pull(2, 0), ElementsAre(11, 22, 33));
}

TEST_F(LambdamlModelsTest, IdleModelsExpire) {
  UseFolder();
  Models().Register("w.b", 3, 2);
  const base::TimePoint now = base::SystemClock().Now();
  EXPECT_THAT(Models().Expire(now - std::chrono::hours(1)), ::testing::IsEmpty());
  EXPECT_THAT(Models().Expire(now + std::chrono::hours(1)), ElementsAre("w.b"));
  EXPECT_FALSE(Models().Exists("w.b"));
  Restart();
  EXPECT_FALSE(Models().Exists("w.b"));
  EXPECT_EQ(budget_.used_bytes(), 0U);
}

}  // namespace
}  // namespace lambdaml::ps
