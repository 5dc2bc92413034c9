#include <gtest/gtest.h>
#include <string>

#include "tests/unit/nn/layer_harness.h"

namespace lambdaml::nn {
namespace {

constexpr ValueShape kShape = {32, 4};
constexpr int64_t kRows = 3;
constexpr size_t kParameters = 64;
constexpr int64_t kPixels = kShape.side * kShape.side;

// Everything the layer reads, in one vector: x, γ, β, residual.
struct Split {
  const double* x;
  const double* gamma;
  const double* beta;
  const double* residual;
};

Split SplitAll(const Doubles& all) {
  const auto size = static_cast<size_t>(kRows * kShape.size());
  return {all.data(), all.data() + size, all.data() + size + 32, all.data() + size + 64};
}

size_t At(int64_t n, int64_t c, int64_t p) {
  return static_cast<size_t>((n * kShape.channels + c) * kPixels + p);
}

struct Moments {
  double mean = 0;
  double square = 0;  // Σ (x − mean)²
};

Moments MomentsOf(const double* x, int64_t c) {
  Moments moments;
  constexpr auto kCount = static_cast<double>(kRows * kPixels);
  for (int64_t n = 0; n < kRows; ++n) {
    for (int64_t p = 0; p < kPixels; ++p) moments.mean += x[At(n, c, p)] / kCount;
  }
  for (int64_t n = 0; n < kRows; ++n) {
    for (int64_t p = 0; p < kPixels; ++p) {
      moments.square += (x[At(n, c, p)] - moments.mean) * (x[At(n, c, p)] - moments.mean);
    }
  }
  return moments;
}

Doubles Normalise(const Doubles& all, bool has_relu) {
  const Split in = SplitAll(all);
  Doubles y(static_cast<size_t>(kRows * kShape.size()));
  for (int64_t c = 0; c < kShape.channels; ++c) {
    const Moments moments = MomentsOf(in.x, c);
    const double variance = moments.square / static_cast<double>(kRows * kPixels);
    for (int64_t n = 0; n < kRows; ++n) {
      for (int64_t p = 0; p < kPixels; ++p) {
        const size_t i = At(n, c, p);
        const double normal = (in.x[i] - moments.mean) / std::sqrt(variance + 1e-5);
        y[i] = in.gamma[c] * normal + in.beta[c] + in.residual[i];
        if (has_relu) y[i] = std::max(y[i], 0.0);
      }
    }
  }
  return y;
}

struct Case {
  const char* name;
  bool has_relu;
  bool has_residual;
  bool has_second_gradient;
};

std::string CaseName(const testing::TestParamInfo<Case>& info) { return info.param.name; }

class BatchNormTest : public testing::TestWithParam<Case> {};

TEST_P(BatchNormTest, AgreesWithTheDefinitionAndItsDifferences) {
  const Case& c = GetParam();
  LayerSpec spec;
  spec.kind = LayerSpec::Kind::kBatchNorm;
  spec.has_relu = c.has_relu;
  spec.residual = c.has_residual ? 1 : -1;
  const auto size = static_cast<size_t>(kRows * kShape.size());
  LayerInputs inputs = {.input = RandomValues(kRows * kShape.size(), 1),
                        .residual = Values(size),
                        .parameters = RandomValues(64, 2),
                        .statistics = Values(64, 0.5F),
                        .output_gradients = {RandomValues(kRows * kShape.size(), 3)}};
  for (float& value : inputs.input) value += 2;
  if (c.has_residual) inputs.residual = RandomValues(kRows * kShape.size(), 4);
  Doubles g = Widened(inputs.output_gradients[0]);
  if (c.has_second_gradient) {
    inputs.output_gradients.push_back(RandomValues(kRows * kShape.size(), 5));
    for (size_t i = 0; i < size; ++i) g[i] += static_cast<double>(inputs.output_gradients[1][i]);
  }
  const LayerRun run =
      LayerHarness(spec, kShape, kShape, kRows, kTestThreads).Run(inputs, kParameters);

  Doubles all = Widened(inputs.input);
  for (const Values* more : {&inputs.parameters, &inputs.residual}) {
    all.insert(all.end(), more->begin(), more->end());
  }
  constexpr double kBound = 5e-6;
  EXPECT_LT(RelativeError(Widened(run.output), Normalise(all, c.has_relu)), kBound);

  const Function f = [&](const Doubles& v) { return Normalise(v, c.has_relu); };
  Values gradients = run.input_gradient;
  gradients.insert(gradients.end(), run.parameter_gradients.begin(), run.parameter_gradients.end());
  gradients.insert(gradients.end(), run.residual_gradient.begin(), run.residual_gradient.end());
  ASSERT_EQ(gradients.size(), size + 64 + (c.has_residual ? size : 0));
  for (const auto& [first, last] :
       {std::pair<size_t, size_t>{0, size}, {size, size + 64}, {size + 64, gradients.size()}}) {
    if (first == last) continue;
    std::vector<size_t> places = Spread(last - first, 64);
    for (size_t& place : places) place += first;
    EXPECT_LT(RelativeError(Picked(gradients, places), Differences(f, g, all, places)), kBound);
  }
}

INSTANTIATE_TEST_SUITE_P(All, BatchNormTest,
                         testing::Values(Case{"Plain", false, false, false},
                                         Case{"Relu", true, false, false},
                                         Case{"ReluReadTwice", true, false, true},
                                         Case{"Residual", true, true, false},
                                         Case{"ResidualReadTwice", true, true, true}),
                         CaseName);

LayerRun RunOnce(bool is_training, int thread_count) {
  LayerSpec spec;
  spec.kind = LayerSpec::Kind::kBatchNorm;
  LayerInputs inputs = {.input = RandomValues(kRows * kShape.size(), 1),
                        .parameters = RandomValues(64, 2),
                        .statistics = Values(64, 0.5F),
                        .is_training = is_training};
  if (is_training) inputs.output_gradients = {RandomValues(kRows * kShape.size(), 3)};
  return LayerHarness(spec, kShape, kShape, kRows, thread_count).Run(inputs, kParameters);
}

TEST(BatchNormStatisticsTest, MoveATenthOfTheWay) {
  const LayerRun run = RunOnce(true, 1);
  const Doubles x = Widened(RandomValues(kRows * kShape.size(), 1));
  for (int64_t c = 0; c < kShape.channels; ++c) {
    const Moments moments = MomentsOf(x.data(), c);
    const double variance = moments.square / static_cast<double>(kRows * kPixels - 1);
    const auto i = static_cast<size_t>(c);
    EXPECT_NEAR(static_cast<double>(run.statistics[i]), 0.9 * 0.5 + 0.1 * moments.mean, 1e-6);
    EXPECT_NEAR(static_cast<double>(run.statistics[32 + i]), 0.9 * 0.5 + 0.1 * variance, 1e-6);
  }
}

TEST(BatchNormStatisticsTest, AreUsedAndLeftAloneInEvaluation) {
  const LayerRun run = RunOnce(false, 1);
  EXPECT_EQ(run.statistics, Values(64, 0.5F));
  const Values x = RandomValues(kRows * kShape.size(), 1);
  const Values parameters = RandomValues(64, 2);
  for (int64_t n = 0; n < kRows; ++n) {
    for (int64_t c = 0; c < kShape.channels; ++c) {
      const auto gamma = static_cast<double>(parameters[static_cast<size_t>(c)]);
      const auto beta = static_cast<double>(parameters[static_cast<size_t>(32 + c)]);
      const size_t i = At(n, c, 5);
      const double want = gamma * (static_cast<double>(x[i]) - 0.5) / std::sqrt(0.5 + 1e-5) + beta;
      EXPECT_NEAR(static_cast<double>(run.output[i]), want, 1e-6);
    }
  }
}

TEST(BatchNormStatisticsTest, DoNotDependOnTheThreadCount) {
  const LayerRun one = RunOnce(true, 1);
  const LayerRun more = RunOnce(true, kTestThreads);
  EXPECT_EQ(one.output, more.output);
  EXPECT_EQ(one.statistics, more.statistics);
  EXPECT_EQ(one.input_gradient, more.input_gradient);
  EXPECT_EQ(one.parameter_gradients, more.parameter_gradients);
}

}  // namespace
}  // namespace lambdaml::nn
