#include "lambdaml/optim/regularizer.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <vector>

namespace lambdaml::optim {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

const std::vector<float> kParameters = {3, -2, 0.25F, 10};
const std::vector<float> kPenalised = {1, 1, 1, 0};

TEST(Regularizer, HasTheValueOfItsNorm) {
  EXPECT_EQ((Regularizer{RegularizerKind::kNone, 2}.Value(kParameters, kPenalised)), 0);
  EXPECT_EQ((Regularizer{RegularizerKind::kL1, 2}.Value(kParameters, kPenalised)), 10.5);
  EXPECT_EQ((Regularizer{RegularizerKind::kL2, 2}.Value(kParameters, kPenalised)), 13.0625);
}

TEST(Regularizer, AddsTheGradientOfL2Only) {
  for (const RegularizerKind kind :
       {RegularizerKind::kNone, RegularizerKind::kL1, RegularizerKind::kL2}) {
    std::vector<float> gradient(4, 1.0F);
    Regularizer{kind, 2}.AddGradient(kParameters, kPenalised, gradient);
    if (kind == RegularizerKind::kL2) {
      EXPECT_THAT(gradient, ElementsAre(7, -3, 1.5, 1));
    } else {
      EXPECT_THAT(gradient, ElementsAre(1, 1, 1, 1));
    }
  }
}

TEST(Regularizer, TakesTheProximalStep) {
  std::vector<float> w = kParameters;
  Regularizer{RegularizerKind::kL1, 2}.ProximalStep(0.25, kPenalised, w);
  EXPECT_THAT(w, ElementsAre(2.5F, -1.5F, 0, 10));
  w = kParameters;
  Regularizer{RegularizerKind::kL2, 2}.ProximalStep(0.25, kPenalised, w);
  EXPECT_THAT(w, ElementsAre(2, FloatEq(-4.0F / 3), FloatEq(1.0F / 6), 10));
  w = kParameters;
  Regularizer{RegularizerKind::kNone, 2}.ProximalStep(0.25, kPenalised, w);
  EXPECT_EQ(w, kParameters);
}

TEST(Regularizer, ProximalStepIsTheMinimumOfItsDefinition) {
  for (const RegularizerKind kind : {RegularizerKind::kL1, RegularizerKind::kL2}) {
    const Regularizer regularizer{kind, 0.7};
    const double step = 0.4;
    const auto value = [&](const std::vector<float>& v) {
      double sum = step * regularizer.Value(v, kPenalised);
      for (size_t i = 0; i < v.size(); ++i) {
        sum += 0.5 * std::pow(static_cast<double>(v[i]) - static_cast<double>(kParameters[i]), 2);
      }
      return sum;
    };
    std::vector<float> best = kParameters;
    regularizer.ProximalStep(step, kPenalised, best);
    for (size_t i = 0; i < best.size(); ++i) {
      for (const float change : {-0.01F, 0.01F}) {
        std::vector<float> moved = best;
        moved[i] += change;
        EXPECT_GT(value(moved), value(best));
      }
    }
  }
}

}  // namespace
}  // namespace lambdaml::optim
