// Runs one layer alone, on plain tensors: plans, converts to and from the blocked layout, runs
// forward and backward. And the measure of its gradients: central differences of a reference in
// double.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/nn/layer.h"
#include "lambdaml/nn/onednn.h"

namespace lambdaml::nn {

// libgomp's synchronisation is unknown to the thread sanitizer.
#if defined(__SANITIZE_THREAD__)
inline constexpr int kTestThreads = 1;
#else
inline constexpr int kTestThreads = 2;
#endif

using Values = std::vector<float>;
using Doubles = std::vector<double>;

inline Values RandomValues(int64_t count, uint64_t seed) {
  base::Random random(seed);
  Values values(static_cast<size_t>(count));
  for (float& value : values) value = static_cast<float>(2 * random.Uniform() - 1);
  return values;
}

inline Doubles Widened(const Values& values) { return {values.begin(), values.end()}; }

struct LayerRun {
  Values output;
  Values input_gradient;
  Values residual_gradient;
  Values parameter_gradients;
  Values statistics;
};

// What goes in; tensors are plain, [row][channel][pixel]. More than one output gradient: the
// layer's output is read by several layers.
struct LayerInputs {
  Values input = {};
  Values residual = {};
  Values parameters = {};
  Values statistics = {};
  std::vector<Values> output_gradients = {};
  bool is_training = true;
};

class LayerHarness {
 public:
  // input_is_image: the input is plain, and there is no gradient by it.
  LayerHarness(LayerSpec spec, ValueShape in, ValueShape out, int64_t rows, int thread_count,
               bool input_is_image = false);

  LayerRun Run(const LayerInputs& inputs, size_t parameter_count);

 private:
  bool is_blocked(const ValueShape& shape) const { return shape.side > 1; }
  void Write(MemoryPlan::Buffer buffer, const ValueShape& shape, const Values& plain);
  Values Read(MemoryPlan::Buffer buffer, const ValueShape& shape) const;
  size_t At(const ValueShape& shape, int64_t n, int64_t c, int64_t p) const;

  LayerPlace place_;
  MemoryPlan plan_;
  std::vector<std::byte> memory_;
  std::byte* aligned_ = nullptr;
};

// ∂(Σ_i weight_i · f(x)_i)/∂x_at for the places `at`, by central differences.
using Function = std::function<Doubles(const Doubles&)>;
Doubles Differences(const Function& f, const Doubles& weights, const Doubles& x,
                    const std::vector<size_t>& at);

// The places of a check: all when there are few, else `count` of them spread out.
std::vector<size_t> Spread(size_t size, size_t count);

// The largest |got - want| over the largest |want|.
double RelativeError(const Doubles& got, const Doubles& want);

// got at the places.
Doubles Picked(const Values& got, const std::vector<size_t>& at);

}  // namespace lambdaml::nn
