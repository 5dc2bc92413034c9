// The layers behind the last convolution: average pool, linear, softmax cross-entropy; and the
// update of the weights.
#include <gtest/gtest.h>
#include <numeric>

#include "lambdaml/nn/loss.h"
#include "lambdaml/nn/momentum_sgd.h"

#include "tests/unit/nn/layer_harness.h"

namespace lambdaml::nn {
namespace {

TEST(AveragePoolTest, TakesTheMeanOfEachChannelAndSpreadsItsGradient) {
  LayerSpec spec;
  spec.kind = LayerSpec::Kind::kAveragePool;
  const ValueShape in = {32, 4};
  const LayerInputs inputs = {.input = RandomValues(3 * in.size(), 1),
                              .output_gradients = {RandomValues(3 * 32, 2)}};
  const LayerRun run = LayerHarness(spec, in, {32, 1}, 3, 1).Run(inputs, 0);
  ASSERT_EQ(run.output.size(), 96);
  for (size_t i = 0; i < run.output.size(); ++i) {
    const auto first = inputs.input.begin() + static_cast<std::ptrdiff_t>(16 * i);
    const double mean = std::accumulate(first, first + 16, 0.0) / 16;
    EXPECT_NEAR(static_cast<double>(run.output[i]), mean, 1e-6);
    for (size_t p = 0; p < 16; ++p) {
      EXPECT_EQ(run.input_gradient[16 * i + p], inputs.output_gradients[0][i] / 16);
    }
  }
}

TEST(LinearTest, AgreesWithTheDefinitionAndItsDifferences) {
  constexpr int64_t kRows = 5;
  constexpr int64_t kIn = 24;
  constexpr int64_t kOut = 7;
  LayerSpec spec;
  spec.kind = LayerSpec::Kind::kLinear;
  const LayerInputs inputs = {.input = RandomValues(kRows * kIn, 1),
                              .parameters = RandomValues(kOut * kIn + kOut, 2),
                              .output_gradients = {RandomValues(kRows * kOut, 3)}};
  const LayerRun run = LayerHarness(spec, {kIn, 1}, {kOut, 1}, kRows, kTestThreads)
                           .Run(inputs, inputs.parameters.size());
  // All that the layer reads in one vector: weights, bias, input.
  const Function f = [](const Doubles& all) {
    const double* const w = all.data();
    const double* const bias = w + kOut * kIn;
    const double* const x = bias + kOut;
    Doubles y;
    for (int64_t n = 0; n < kRows; ++n) {
      for (int64_t o = 0; o < kOut; ++o) {
        y.push_back(std::inner_product(x + n * kIn, x + (n + 1) * kIn, w + o * kIn, bias[o]));
      }
    }
    return y;
  };
  Doubles all = Widened(inputs.parameters);
  all.insert(all.end(), inputs.input.begin(), inputs.input.end());
  Values gradients = run.parameter_gradients;
  gradients.insert(gradients.end(), run.input_gradient.begin(), run.input_gradient.end());
  EXPECT_LT(RelativeError(Widened(run.output), f(all)), 1e-6);
  const std::vector<size_t> places = Spread(all.size(), all.size());
  EXPECT_LT(RelativeError(Picked(gradients, places),
                          Differences(f, Widened(inputs.output_gradients[0]), all, places)),
            1e-6);
}

TEST(SoftmaxTest, GivesProbabilitiesLossRightAnswersAndTheirGradient) {
  constexpr int64_t kRows = 3;
  constexpr int64_t kClasses = 5;
  const std::vector<int32_t> labels = {4, 0, 2};
  Values logits = RandomValues(kRows * kClasses, 1);
  logits[4] = 3;                      // row 0: right
  logits[5 + 1] = logits[5 + 0] = 2;  // row 1: the first of equal ones, right
  logits[10 + 3] = 1000;              // row 2: wrong, and far beyond what exp can take
  const Doubles z = Widened(logits);
  const Function loss = [&](const Doubles& v) {
    double sum = 0;
    for (size_t r = 0; r < 3; ++r) {
      const double top = *std::max_element(v.begin() + static_cast<std::ptrdiff_t>(5 * r),
                                           v.begin() + static_cast<std::ptrdiff_t>(5 * r + 5));
      double total = 0;
      for (size_t k = 0; k < 5; ++k) total += std::exp(v[5 * r + k] - top);
      sum += std::log(total) + top - v[5 * r + static_cast<size_t>(labels[r])];
    }
    return Doubles{sum};
  };
  const BatchStats stats = Softmax(kClasses, logits, labels);
  EXPECT_EQ(stats.rows, 3);
  EXPECT_EQ(stats.correct, 2);
  EXPECT_NEAR(stats.loss_sum, loss(z)[0], 1e-4);
  for (size_t r = 0; r < 3; ++r) {
    const auto first = logits.begin() + static_cast<std::ptrdiff_t>(5 * r);
    EXPECT_NEAR(std::accumulate(first, first + 5, 0.0), 1, 1e-6);
  }
  CrossEntropyGradient(kClasses, labels, logits);
  const std::vector<size_t> places = Spread(z.size(), z.size());
  // The mean over three rows.
  EXPECT_LT(RelativeError(Picked(logits, places), Differences(loss, {1.0 / 3}, z, places)), 1e-5);
}

TEST(SoftmaxTest, NeedsNoLabels) {
  Values logits = {0, 0, 1000, 0};
  EXPECT_EQ(Softmax(2, logits, {}).rows, 2);
  EXPECT_EQ(logits, (Values{0.5F, 0.5F, 1, 0}));
}

TEST(MomentumSgdTest, FollowsPyTorchsDefinition) {
  constexpr size_t kCount = 1003;
  Values w = RandomValues(kCount, 1);
  Values velocity(kCount);
  Doubles want = Widened(w);
  Doubles want_velocity(kCount);
  const MomentumSgd sgd = {
      .learning_rate = 0.1F, .momentum = 0.9F, .weight_decay = 5e-4F, .thread_count = kTestThreads};
  for (uint64_t step = 0; step < 3; ++step) {
    const Values gradient = RandomValues(kCount, 10 + step);
    sgd.Apply(gradient, velocity, w);
    for (size_t i = 0; i < kCount; ++i) {
      want_velocity[i] = 0.9 * want_velocity[i] + static_cast<double>(gradient[i]) + 5e-4 * want[i];
      want[i] -= 0.1 * want_velocity[i];
    }
  }
  EXPECT_LT(RelativeError(Widened(w), want), 1e-6);
  EXPECT_LT(RelativeError(Widened(velocity), want_velocity), 1e-6);
}

}  // namespace
}  // namespace lambdaml::nn
