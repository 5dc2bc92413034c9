#include "lambdaml/optim/schedule.h"

#include <gtest/gtest.h>

namespace lambdaml::optim {
namespace {

TEST(Schedule, FollowsItsFormula) {
  const LearningRate constant(Schedule::kConstant, 2, 100);
  EXPECT_EQ(constant.At(0), 2);
  EXPECT_EQ(constant.At(99), 2);

  const LearningRate step(Schedule::kStep, 2, 100);
  EXPECT_EQ(step.At(0), 2);
  EXPECT_EQ(step.At(49), 2);
  EXPECT_EQ(step.At(50), 0.2);
  EXPECT_EQ(step.At(74), 0.2);
  EXPECT_EQ(step.At(75), 0.02);

  const LearningRate inverse_sqrt(Schedule::kInverseSqrt, 2, 100);
  EXPECT_EQ(inverse_sqrt.At(0), 2);
  EXPECT_EQ(inverse_sqrt.At(3), 1);
  EXPECT_EQ(inverse_sqrt.At(99), 0.2);

  const LearningRate cosine(Schedule::kCosine, 2, 100);
  EXPECT_EQ(cosine.At(0), 2);
  EXPECT_DOUBLE_EQ(cosine.At(50), 1);
  EXPECT_NEAR(cosine.At(100), 0, 1e-15);
}

TEST(Schedule, StaysAtItsEndBeyondTheLastStep) {
  for (const Schedule schedule :
       {Schedule::kConstant, Schedule::kStep, Schedule::kInverseSqrt, Schedule::kCosine}) {
    const LearningRate lr(schedule, 2, 100);
    EXPECT_EQ(lr.At(100), lr.At(1000));
    EXPECT_GE(lr.At(1000), 0);
    EXPECT_EQ(LearningRate(Schedule::kConstant, 2, 0).At(0), 2);
  }
}

}  // namespace
}  // namespace lambdaml::optim
