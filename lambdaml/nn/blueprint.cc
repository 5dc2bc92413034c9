#include "lambdaml/nn/blueprint.h"

#include <algorithm>
#include <fmt/format.h>
#include <string_view>
#include <utility>

namespace lambdaml::nn {
namespace {

class Builder {
 public:
  Builder() { blueprint_.values.push_back({kImageChannels, kImageSide}); }

  int Convolution(std::string name, int input, int64_t channels, int64_t kernel, int64_t stride,
                  int64_t groups = 1) {
    const int64_t side = (Shape(input).side - 1) / stride + 1;
    return Add({.kind = LayerSpec::Kind::kConvolution,
                .name = std::move(name),
                .input = input,
                .kernel = kernel,
                .stride = stride,
                .groups = groups},
               {channels, side});
  }

  int BatchNorm(std::string name, int input, bool has_relu, int residual = -1) {
    return Add({.kind = LayerSpec::Kind::kBatchNorm,
                .name = std::move(name),
                .input = input,
                .residual = residual,
                .has_relu = has_relu},
               Shape(input));
  }

  // Convolution, batch norm and ReLU named conv{i} and bn{i} after `prefix`.
  int ConvolutionUnit(std::string_view prefix, int i, int input, int64_t channels, int64_t kernel,
                      int64_t stride, int64_t groups = 1) {
    const int output =
        Convolution(fmt::format("{}conv{}", prefix, i), input, channels, kernel, stride, groups);
    return BatchNorm(fmt::format("{}bn{}", prefix, i), output, true);
  }

  void Classifier(int input, int64_t n_classes) {
    const int pooled =
        Add({.kind = LayerSpec::Kind::kAveragePool, .input = input}, {Shape(input).channels, 1});
    Add({.kind = LayerSpec::Kind::kLinear, .name = "linear", .input = pooled}, {n_classes, 1});
  }

  // Moves the last added layer before the latest `count` others in the state dict's order.
  void NameEarlier(size_t count) {
    const auto last = blueprint_.state_order.end() - 1;
    std::rotate(last - static_cast<std::ptrdiff_t>(count), last, last + 1);
  }

  const ValueShape& Shape(int value) const { return blueprint_.values[static_cast<size_t>(value)]; }

  Blueprint Take() { return std::move(blueprint_); }

 private:
  int Add(LayerSpec layer, ValueShape shape) {
    layer.output = static_cast<int>(blueprint_.values.size());
    blueprint_.values.push_back(shape);
    blueprint_.state_order.push_back(static_cast<int>(blueprint_.layers.size()));
    blueprint_.layers.push_back(std::move(layer));
    return static_cast<int>(blueprint_.values.size()) - 1;
  }

  Blueprint blueprint_;
};

Blueprint MakeMobileNet(int64_t n_classes) {
  struct Block {
    int64_t channels;
    int64_t stride;
  };
  constexpr Block kBlocks[] = {{64, 1},  {128, 2},  {128, 1}, {256, 2}, {256, 1},
                               {512, 2}, {512, 1},  {512, 1}, {512, 1}, {512, 1},
                               {512, 1}, {1024, 2}, {1024, 1}};
  Builder builder;
  int value = builder.ConvolutionUnit("", 1, 0, 32, 3, 1);
  int index = 0;
  for (const Block& block : kBlocks) {
    const std::string prefix = fmt::format("layers.{}.", index++);
    const int64_t channels = builder.Shape(value).channels;
    value = builder.ConvolutionUnit(prefix, 1, value, channels, 3, block.stride, channels);
    value = builder.ConvolutionUnit(prefix, 2, value, block.channels, 1, 1);
  }
  builder.Classifier(value, n_classes);
  return builder.Take();
}

// The sum of a residual block: convolution `last`, the shortcut, and the batch norm that adds them.
int CloseBlock(Builder& builder, const std::string& prefix, int last, int block_input, int value,
               int64_t channels, int64_t kernel, int64_t stride) {
  value = builder.Convolution(fmt::format("{}conv{}", prefix, last), value, channels, kernel, 1);
  int residual = block_input;
  size_t shortcut_layers = 0;
  if (stride != 1 || builder.Shape(block_input).channels != channels) {
    residual = builder.Convolution(prefix + "shortcut.0", block_input, channels, 1, stride);
    residual = builder.BatchNorm(prefix + "shortcut.1", residual, false);
    shortcut_layers = 2;
  }
  value = builder.BatchNorm(fmt::format("{}bn{}", prefix, last), value, true, residual);
  builder.NameEarlier(shortcut_layers);
  return value;
}

int BasicBlock(Builder& builder, const std::string& prefix, int input, int64_t channels,
               int64_t stride) {
  const int value = builder.ConvolutionUnit(prefix, 1, input, channels, 3, stride);
  return CloseBlock(builder, prefix, 2, input, value, channels, 3, stride);
}

int Bottleneck(Builder& builder, const std::string& prefix, int input, int64_t channels,
               int64_t stride) {
  constexpr int64_t kExpansion = 4;
  int value = builder.ConvolutionUnit(prefix, 1, input, channels, 1, 1);
  value = builder.ConvolutionUnit(prefix, 2, value, channels, 3, stride);
  return CloseBlock(builder, prefix, 3, input, value, kExpansion * channels, 1, stride);
}

using Block = int (*)(Builder&, const std::string&, int, int64_t, int64_t);

Blueprint MakeResNet(Block block, const std::vector<int>& block_counts, int64_t n_classes) {
  Builder builder;
  int value = builder.ConvolutionUnit("", 1, 0, 64, 3, 1);
  int64_t channels = 64;
  int stage = 1;
  for (const int block_count : block_counts) {
    for (int i = 0; i < block_count; ++i) {
      const int64_t stride = i == 0 && stage > 1 ? 2 : 1;
      value = block(builder, fmt::format("layer{}.{}.", stage, i), value, channels, stride);
    }
    channels *= 2;
    ++stage;
  }
  builder.Classifier(value, n_classes);
  return builder.Take();
}

}  // namespace

Blueprint MakeBlueprint(Architecture architecture, int64_t n_classes) {
  switch (architecture) {
    case Architecture::kMobileNet:
      return MakeMobileNet(n_classes);
    case Architecture::kResNet18:
      return MakeResNet(BasicBlock, {2, 2, 2, 2}, n_classes);
    case Architecture::kResNet50:
      break;
  }
  return MakeResNet(Bottleneck, {3, 4, 6, 3}, n_classes);
}

}  // namespace lambdaml::nn
