// A network as a list of layers over values: what is computed, not how.
//
// Internal to the module. Layers stand in the order in which they run forward; backward runs the
// other way. A batch normalisation takes in what follows it: the residual sum and the ReLU.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/nn/architecture.h"

namespace lambdaml::nn {

// One tensor of activations: channels x side x side for each image.
struct ValueShape {
  int64_t channels = 0;
  int64_t side = 0;

  int64_t size() const { return channels * side * side; }
};

struct LayerSpec {
  enum class Kind {
    kConvolution,  // square, padded by (kernel - 1) / 2, no bias; groups = channels: depthwise
    kBatchNorm,    // then + residual, then ReLU, if it has them
    kAveragePool,  // over the whole image
    kLinear,       // with bias
  };

  Kind kind = Kind::kConvolution;
  std::string name = {};  // the module's name in the state dict
  int input = 0;          // values: 0 is the image
  int output = 0;
  int residual = -1;  // a batch norm's second summand; -1: none
  bool has_relu = false;
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
};

struct Blueprint {
  std::vector<ValueShape> values;
  std::vector<LayerSpec> layers;
  // Layers in the order of the state dict: a residual block names its shortcut last, but it runs
  // before the sum.
  std::vector<int> state_order;
};

Blueprint MakeBlueprint(Architecture architecture, int64_t n_classes);

}  // namespace lambdaml::nn
