// The convolutional networks and the tensors of their state, as PyTorch's state dict has them.
//
// Pure descriptions: nothing here computes, allocates a network or needs oneDNN. Names, shapes and
// order are those of the usual CIFAR modules in PyTorch, so that `load_state_dict(strict=True)`
// takes what is written from them:
//
//   mobilenet   Howard et al. 2017, "MobileNets", for 32 x 32 images: 3x3 stem of 32 channels, 13
//               depthwise-separable blocks (64, 128/2, 128, 256/2, 256, 512/2, 5 x 512, 1024/2,
//               1024), 2 x 2 average pool, linear.            conv1 bn1 layers.{i}.* linear
//   resnet18,   He et al. 2016, "Deep Residual Learning", CIFAR form: 3x3 stem of 64 channels, no
//   resnet50    max-pool, stages of 64, 128, 256, 512 channels (x 4 for the bottlenecks of 50),
//               4 x 4 average pool, linear.                   conv1 bn1 layer{1..4}.{i}.* linear
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml::nn {

enum class Architecture { kMobileNet, kResNet18, kResNet50 };

// "mobilenet", "resnet18", "resnet50".
std::string_view ArchitectureName(Architecture architecture);

// Images are 3 x 32 x 32 float32, channel by channel, row by row (NCHW).
inline constexpr int64_t kImageChannels = 3;
inline constexpr int64_t kImageSide = 32;
inline constexpr int64_t kImageValues = kImageChannels * kImageSide * kImageSide;

inline constexpr int64_t kClassesMax = 100'000;

// One tensor within a flat span of float32: size values from offset, row-major in `shape`.
struct TensorInfo {
  std::string name = {};  // e.g. "layer1.0.conv1.weight"
  std::vector<int64_t> shape;
  size_t offset = 0;
  size_t size = 0;
  int64_t fan_in = 0;  // inputs of one output; 0 for tensors of a batch normalisation
};

// The whole state of a network. PyTorch's order is: for each batch normalisation weight, bias,
// running_mean, running_var, num_batches_tracked; `entries` gives it.
struct StateLayout {
  enum class Kind { kParameter, kStatistic, kBatchCount };
  struct Entry {
    Kind kind = Kind::kParameter;
    size_t index = 0;  // into `parameters`, `statistics` or `batch_counts`
  };

  std::vector<TensorInfo> parameters;     // trained: weights and biases, in the state dict's order
  std::vector<TensorInfo> statistics;     // running_mean and running_var of every batch norm
  std::vector<std::string> batch_counts;  // names of the int64 scalars num_batches_tracked
  std::vector<Entry> entries;             // the state dict's order over all three
  size_t parameter_count = 0;             // float32 values of all parameters
  size_t statistic_count = 0;             // float32 values of all statistics
};

// Errors: kInvalidArgument unless 1 <= n_classes <= kClassesMax.
StateLayout DescribeState(Architecture architecture, int64_t n_classes);

}  // namespace lambdaml::nn
