// The average over the whole image: from blocked activations to plain rows x channels.
#include "lambdaml/nn/layer.h"

namespace lambdaml::nn {
namespace {

class AveragePool final : public Layer {
 public:
  explicit AveragePool(const LayerPlace& place)
      : place_(place), pixels_(place.in.side * place.in.side) {}

  InputGradients PlanBackward(const std::vector<MemoryPlan::Buffer>& output_gradients,
                              MemoryPlan& plan) override {
    output_gradient_ = output_gradients.front();
    plan.Use(output_gradient_, place_.backward_moment);
    input_gradient_ = plan.AddFloats(place_.rows * place_.in.size(), place_.backward_moment);
    return {.input = input_gradient_};
  }

  // output[n][c] = 1/pixels Σ_p input[n][c][p]
  void Forward(const Pass& pass) const override {
    const float* const from = pass.At(place_.input);
    float* const to = pass.At(place_.output);
    const float scale = 1 / static_cast<float>(pixels_);
    const int64_t block = place_.block;
    const int64_t block_count = place_.rows * place_.in.channels / block;
    for (int64_t b = 0; b < block_count; ++b) {
      for (int64_t c = 0; c < block; ++c) {
        float sum = 0;
        for (int64_t p = 0; p < pixels_; ++p) sum += from[(b * pixels_ + p) * block + c];
        to[b * block + c] = sum * scale;
      }
    }
  }

  void Backward(const Pass& pass) const override {
    const float* const from = pass.At(output_gradient_);
    float* const to = pass.At(input_gradient_);
    const float scale = 1 / static_cast<float>(pixels_);
    const int64_t block = place_.block;
    const int64_t block_count = place_.rows * place_.in.channels / block;
    for (int64_t b = 0; b < block_count; ++b) {
      for (int64_t p = 0; p < pixels_; ++p) {
        for (int64_t c = 0; c < block; ++c) {
          to[(b * pixels_ + p) * block + c] = from[b * block + c] * scale;
        }
      }
    }
  }

 private:
  LayerPlace place_;
  int64_t pixels_;
  MemoryPlan::Buffer output_gradient_ = MemoryPlan::kNone;
  MemoryPlan::Buffer input_gradient_ = MemoryPlan::kNone;
};

}  // namespace

std::unique_ptr<Layer> MakeAveragePool(const LayerPlace& place, MemoryPlan& /*plan*/) {
  return std::make_unique<AveragePool>(place);
}

}  // namespace lambdaml::nn
