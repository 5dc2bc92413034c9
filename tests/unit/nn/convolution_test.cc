#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/nn/layer_harness.h"

namespace lambdaml::nn {
namespace {

struct Case {
  int64_t in;
  int64_t out;
  int64_t side;
  int64_t kernel;
  int64_t stride;
  int64_t groups;
  int64_t rows;
  bool is_image = false;
};

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  const Case& c = info.param;
  return fmt::format("{}To{}Side{}Kernel{}Stride{}Groups{}Rows{}", c.in, c.out, c.side, c.kernel,
                     c.stride, c.groups, c.rows);
}

int64_t OutSide(const Case& c) { return (c.side - 1) / c.stride + 1; }

// y[n][o][q] = Σ_i Σ_taps w[o][i][tap] x[n][group's i][q·s + tap − padding]
Doubles Convolve(const Case& c, const Doubles& x, const Doubles& w) {
  const int64_t side = OutSide(c);
  const int64_t group_in = c.in / c.groups;
  const int64_t group_out = c.out / c.groups;
  const int64_t padding = (c.kernel - 1) / 2;
  Doubles y;
  for (int64_t n = 0; n < c.rows; ++n) {
    for (int64_t o = 0; o < c.out; ++o) {
      for (int64_t q = 0; q < side * side; ++q) {
        double sum = 0;
        for (int64_t t = 0; t < group_in * c.kernel * c.kernel; ++t) {
          const int64_t i = t / (c.kernel * c.kernel);
          const int64_t row = q / side * c.stride + t / c.kernel % c.kernel - padding;
          const int64_t column = q % side * c.stride + t % c.kernel - padding;
          if (row < 0 || row >= c.side || column < 0 || column >= c.side) continue;
          const int64_t channel = o / group_out * group_in + i;
          sum += w[static_cast<size_t>(o * group_in * c.kernel * c.kernel + t)] *
                 x[static_cast<size_t>(((n * c.in + channel) * c.side + row) * c.side + column)];
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

class ConvolutionTest : public testing::TestWithParam<Case> {};

TEST_P(ConvolutionTest, AgreesWithTheDefinitionAndItsDifferences) {
  const Case& c = GetParam();
  const ValueShape in = {c.in, c.side};
  const ValueShape out = {c.out, OutSide(c)};
  LayerSpec spec;
  spec.kernel = c.kernel;
  spec.stride = c.stride;
  spec.groups = c.groups;
  const auto weight_count = static_cast<size_t>(c.out * c.in / c.groups * c.kernel * c.kernel);
  const LayerInputs inputs = {.input = RandomValues(c.rows * in.size(), 1),
                              .parameters = RandomValues(static_cast<int64_t>(weight_count), 2),
                              .output_gradients = {RandomValues(c.rows * out.size(), 3)}};
  const LayerRun run =
      LayerHarness(spec, in, out, c.rows, kTestThreads, c.is_image).Run(inputs, weight_count);

  const Doubles x = Widened(inputs.input);
  const Doubles w = Widened(inputs.parameters);
  const Doubles g = Widened(inputs.output_gradients[0]);
  // Winograd's transforms lose about three bits more than the direct sum.
  constexpr double kBound = 3e-5;
  EXPECT_LT(RelativeError(Widened(run.output), Convolve(c, x, w)), kBound);

  const std::vector<size_t> weights = Spread(w.size(), 40);
  const Doubles by_weights =
      Differences([&](const Doubles& v) { return Convolve(c, x, v); }, g, w, weights);
  EXPECT_LT(RelativeError(Picked(run.parameter_gradients, weights), by_weights), kBound);

  ASSERT_EQ(run.input_gradient.size(), c.is_image ? 0 : x.size());
  if (c.is_image) return;
  const std::vector<size_t> places = Spread(x.size(), 40);
  const Doubles by_input =
      Differences([&](const Doubles& v) { return Convolve(c, v, w); }, g, x, places);
  EXPECT_LT(RelativeError(Picked(run.input_gradient, places), by_input), kBound);
}

INSTANTIATE_TEST_SUITE_P(
    All, ConvolutionTest,
    testing::Values(Case{3, 32, 8, 3, 1, 1, 2, true},                            // stem
                    Case{32, 32, 8, 3, 1, 1, 1}, Case{32, 32, 4, 3, 1, 1, 3},    // 3 x 3
                    Case{16, 32, 8, 3, 2, 1, 2},                                 // 3 x 3, stride
                    Case{32, 48, 4, 1, 1, 1, 3}, Case{32, 16, 6, 1, 2, 1, 1},    // 1 x 1
                    Case{32, 32, 2, 3, 1, 32, 3}, Case{32, 32, 8, 3, 1, 32, 1},  // depthwise
                    Case{32, 32, 4, 3, 2, 32, 11}, Case{16, 16, 8, 3, 2, 16, 2}),
    CaseName);

// Bits of a thread count repeat, and depthwise weight gradients do not depend on it.
TEST(DepthwiseTest, DoesNotDependOnTheThreadCount) {
  LayerSpec spec;
  spec.kernel = 3;
  spec.groups = 64;
  const ValueShape shape = {64, 8};
  const LayerInputs inputs = {.input = RandomValues(13 * shape.size(), 1),
                              .parameters = RandomValues(64 * 9, 2),
                              .output_gradients = {RandomValues(13 * shape.size(), 3)}};
  const LayerRun one = LayerHarness(spec, shape, shape, 13, 1).Run(inputs, 64 * 9);
  const LayerRun more = LayerHarness(spec, shape, shape, 13, kTestThreads).Run(inputs, 64 * 9);
  EXPECT_EQ(one.parameter_gradients, more.parameter_gradients);
}

}  // namespace
}  // namespace lambdaml::nn
