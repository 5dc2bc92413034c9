// One layer of a network: plans its buffers, runs forward, runs backward.
//
// Internal to the module. A layer is made once for a batch size; making it plans, Prepare generates
// its code, and a Pass then carries everything that changes between calls. So a layer holds no
// tensor and no state, and its const functions are all there is to it.
//
// Activations and their gradients are blocked by channels, as oneDNN's nChw16c and nChw8c:
//   [row][channel / block][pixel][channel % block]
// and plain rows behind the average pool. The image is plain, [row][channel][pixel].
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "lambdaml/nn/blueprint.h"
#include "lambdaml/nn/memory_plan.h"

namespace lambdaml::nn {

// One forward or backward pass over a batch.
struct Pass {
  std::byte* memory = nullptr;  // of the plan
  const MemoryPlan* plan = nullptr;
  const float* images = nullptr;
  const float* parameters = nullptr;  // flat, PyTorch's layouts
  float* gradients = nullptr;
  float* statistics = nullptr;
  bool is_training = false;  // batch statistics, and everything that backward needs

  float* At(MemoryPlan::Buffer buffer) const {
    return reinterpret_cast<float*>(memory + plan->offset(buffer));
  }
};

// Where a layer stands: what it computes, and the buffers it shares with its neighbours.
struct LayerPlace {
  LayerSpec spec;
  ValueShape in;
  ValueShape out;
  int64_t rows = 0;
  int64_t block = 0;  // channels of a block
  int thread_count = 1;
  int forward_moment = 0;
  int backward_moment = 0;
  size_t parameter_offset = 0;  // of the first of its parameters
  size_t statistic_offset = 0;  // of its running mean; the running variance follows
  MemoryPlan::Buffer input = MemoryPlan::kNone;  // kNone: the image
  MemoryPlan::Buffer residual = MemoryPlan::kNone;
  MemoryPlan::Buffer output = MemoryPlan::kNone;
};

class Layer {
 public:
  Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
  virtual ~Layer() = default;

  // Plans the backward pass, given the gradients of the loss by the output: one buffer for each
  // layer that reads the output. They may be overwritten.
  // Returns the gradients by the input and by the residual summand, kNone where there is none.
  struct InputGradients {
    MemoryPlan::Buffer input = MemoryPlan::kNone;
    MemoryPlan::Buffer residual = MemoryPlan::kNone;
  };
  virtual InputGradients PlanBackward(const std::vector<MemoryPlan::Buffer>& output_gradients,
                                      MemoryPlan& plan) = 0;

  // Makes what is expensive and needed only to compute.
  virtual void Prepare() {}

  virtual void Forward(const Pass& pass) const = 0;
  virtual void Backward(const Pass& pass) const = 0;
};

// Each plans the forward pass.
std::unique_ptr<Layer> MakeConvolution(const LayerPlace& place, MemoryPlan& plan);
std::unique_ptr<Layer> MakeBatchNorm(const LayerPlace& place, MemoryPlan& plan);
std::unique_ptr<Layer> MakeAveragePool(const LayerPlace& place, MemoryPlan& plan);
std::unique_ptr<Layer> MakeLinear(const LayerPlace& place, MemoryPlan& plan);

}  // namespace lambdaml::nn
