// Whole networks against PyTorch: SGD steps from formulas both sides compute (golden/, and the
// script that made it). The reference is PyTorch in float64. Bounds are a multiple of how far
// PyTorch's own float32 goes from it on the same run, which the golden file says, or what one ReLU
// can do whose input is so near zero that rounding decides: with a few rows, move a gradient by
// percents.
#include <cmath>
#include <fmt/format.h>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "lambdaml/base/json.h"
#include "lambdaml/nn/momentum_sgd.h"
#include "lambdaml/nn/network.h"

#include "tests/unit/nn/layer_harness.h"

namespace lambdaml::nn {
namespace {

// The formulas of golden/make_goldens.py.
Values Noise(uint32_t stream, size_t count) {
  Values values(count);
  for (size_t i = 0; i < count; ++i) {
    uint32_t x = static_cast<uint32_t>(i) + stream * 0x9E3779B9U;
    x ^= x >> 16U;
    x *= 0x7FEB352DU;
    x ^= x >> 15U;
    x *= 0x846CA68BU;
    x ^= x >> 16U;
    values[i] = static_cast<float>(x >> 8U) / static_cast<float>(1 << 23) - 1.0F;
  }
  return values;
}

void SetWeights(Network& network) {
  uint32_t stream = 0;
  for (const TensorInfo& tensor : network.layout().parameters) {
    const Values noise = Noise(stream++, tensor.size);
    const std::span<float> to = network.parameters().subspan(tensor.offset, tensor.size);
    const auto bound =
        static_cast<float>(1 / std::sqrt(static_cast<double>(std::max<int64_t>(tensor.fan_in, 1))));
    const float centre = tensor.name.ends_with("weight") ? 1.0F : 0.0F;
    for (size_t i = 0; i < tensor.size; ++i) {
      to[i] = tensor.fan_in > 0 ? noise[i] * bound : noise[i] / 8 + centre;
    }
  }
}

struct Batch {
  Values images;
  std::vector<int32_t> labels;
};

Batch MakeBatch(int64_t rows, int64_t n_classes) {
  Batch batch;
  for (int64_t r = 0; r < rows; ++r) {
    const auto label = static_cast<int32_t>((7 * r + 3) % n_classes);
    const Values picture = Noise(1000 + static_cast<uint32_t>(label), kImageValues);
    const Values noise = Noise(5000 + static_cast<uint32_t>(r), kImageValues);
    for (size_t i = 0; i < noise.size(); ++i) batch.images.push_back(picture[i] + noise[i]);
    batch.labels.push_back(label);
  }
  return batch;
}

base::Json ReadGolden(const std::string& name) {
  const std::string path = LAMBDAML_GOLDEN_FOLDER "/" + name;
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return base::Json::Parse(text.str(), path);
}

// Error over movement of the sampled values of some tensors.
class Deviation {
 public:
  void Add(const base::Json& want, std::span<const float> before, std::span<const float> got) {
    const base::Json::Array& values = want.AsArray();
    for (size_t i = 0; i < values.size(); ++i) {
      const size_t at = i * got.size() / values.size();
      const double error = static_cast<double>(got[at]) - values[i].AsNumber();
      const double movement = static_cast<double>(before[at]) - values[i].AsNumber();
      error_ += error * error;
      movement_ += movement * movement;
    }
  }
  double relative() const { return std::sqrt(error_ / movement_); }

 private:
  double error_ = 0;
  double movement_ = 0;
};

struct Run {
  const char* file;
  Architecture architecture;
};

std::string RunName(const testing::TestParamInfo<Run>& info) {
  const std::string file = info.param.file;
  return file.substr(0, file.find('.'));
}

class NetworkGoldenTest : public testing::TestWithParam<Run> {};

TEST_P(NetworkGoldenTest, TrainsAsPyTorchDoes) {
  const base::Json golden = ReadGolden(GetParam().file);
  const int64_t rows = golden.At("rows").AsInteger();
  const int64_t n_classes = golden.At("n_classes").AsInteger();
  Network network(
      {.architecture = GetParam().architecture, .n_classes = n_classes, .batch_size_max = rows});
  SetWeights(network);
  const Batch batch = MakeBatch(rows, n_classes);
  const Values parameters(network.parameters().begin(), network.parameters().end());
  const Values statistics(network.statistics().begin(), network.statistics().end());
  const MomentumSgd sgd = {
      .learning_rate = static_cast<float>(golden.At("learning_rate").AsNumber()),
      .momentum = static_cast<float>(golden.At("momentum").AsNumber()),
      .weight_decay = static_cast<float>(golden.At("weight_decay").AsNumber())};
  const base::Json& float32 = golden.At("float32");
  const auto bound = [&](std::string_view key, double least) {
    constexpr double kMultiple = 5;
    return std::max(least, kMultiple * float32.At(key).AsNumber());
  };

  Values velocity(parameters.size());
  for (const base::Json& loss : golden.At("losses").AsArray()) {
    const BatchStats stats = network.Backpropagate(batch.images, batch.labels);
    EXPECT_NEAR(stats.loss_sum / static_cast<double>(rows), loss.AsNumber(), bound("loss", 1e-3));
    sgd.Apply(network.gradients(), velocity, network.parameters());
  }
  const BatchStats evaluation = network.Evaluate(batch.images, batch.labels);
  EXPECT_EQ(evaluation.correct, golden.At("correct").AsInteger());
  EXPECT_NEAR(evaluation.loss_sum / static_cast<double>(rows),
              golden.At("evaluation_loss").AsNumber(), bound("evaluation_loss", 1e-3));

  Deviation of_parameters;
  for (const TensorInfo& t : network.layout().parameters) {
    of_parameters.Add(golden.At("state").At(t.name),
                      std::span(parameters).subspan(t.offset, t.size),
                      network.parameters().subspan(t.offset, t.size));
  }
  Deviation of_statistics;
  for (const TensorInfo& t : network.layout().statistics) {
    of_statistics.Add(golden.At("state").At(t.name),
                      std::span(statistics).subspan(t.offset, t.size),
                      network.statistics().subspan(t.offset, t.size));
  }
  EXPECT_LT(of_parameters.relative(), bound("parameters", 0.05));
  EXPECT_LT(of_statistics.relative(), bound("statistics", 1e-3));
  EXPECT_EQ(network.batch_count(), static_cast<int64_t>(golden.At("losses").AsArray().size()));
}

INSTANTIATE_TEST_SUITE_P(All, NetworkGoldenTest,
                         testing::Values(Run{"mobilenet_10_16.json", Architecture::kMobileNet},
                                         Run{"mobilenet_3_5.json", Architecture::kMobileNet},
                                         Run{"resnet18_10_8.json", Architecture::kResNet18},
                                         Run{"resnet18_100_1.json", Architecture::kResNet18},
                                         Run{"resnet50_10_5.json", Architecture::kResNet50}),
                         RunName);

}  // namespace
}  // namespace lambdaml::nn
