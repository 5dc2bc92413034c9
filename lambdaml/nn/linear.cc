// The fully connected layer: rows x in → rows x out, y = x Wᵀ + b, on oneDNN's matrix product.
#include <algorithm>

#include <dnnl.hpp>

#include "lambdaml/nn/layer.h"

namespace lambdaml::nn {
namespace {

// c[m x n] = a · b, row-major; 'T': that factor is stored transposed.
void Multiply(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, const float* a,
              const float* b, float* c) {
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1, a, transpose_a == 'T' ? m : k, b,
                 transpose_b == 'T' ? k : n, 0, c, n);
  if (status != dnnl_success) throw dnnl::error(status, "matrix product failed");
}

class Linear final : public Layer {
 public:
  explicit Linear(const LayerPlace& place)
      : place_(place), in_(place.in.channels), out_(place.out.channels) {}

  InputGradients PlanBackward(const std::vector<MemoryPlan::Buffer>& output_gradients,
                              MemoryPlan& plan) override {
    output_gradient_ = output_gradients.front();
    plan.Use(output_gradient_, place_.backward_moment);
    plan.Use(place_.input, place_.backward_moment);
    input_gradient_ = plan.AddFloats(place_.rows * in_, place_.backward_moment);
    return {.input = input_gradient_};
  }

  void Forward(const Pass& pass) const override {
    const float* const weights = pass.parameters + place_.parameter_offset;
    const float* const bias = weights + out_ * in_;
    float* const y = pass.At(place_.output);
    Multiply('N', 'T', place_.rows, out_, in_, pass.At(place_.input), weights, y);
    for (int64_t n = 0; n < place_.rows; ++n) {
      for (int64_t k = 0; k < out_; ++k) y[n * out_ + k] += bias[k];
    }
  }

  //   ∂x = g W     ∂W = gᵀ x     ∂b = Σ_n g_n
  void Backward(const Pass& pass) const override {
    const float* const g = pass.At(output_gradient_);
    float* const weight_gradient = pass.gradients + place_.parameter_offset;
    float* const bias_gradient = weight_gradient + out_ * in_;
    Multiply('N', 'N', place_.rows, in_, out_, g, pass.parameters + place_.parameter_offset,
             pass.At(input_gradient_));
    Multiply('T', 'N', out_, in_, place_.rows, g, pass.At(place_.input), weight_gradient);
    std::fill_n(bias_gradient, out_, 0.0F);
    for (int64_t n = 0; n < place_.rows; ++n) {
      for (int64_t k = 0; k < out_; ++k) bias_gradient[k] += g[n * out_ + k];
    }
  }

 private:
  LayerPlace place_;
  int64_t in_;
  int64_t out_;
  MemoryPlan::Buffer output_gradient_ = MemoryPlan::kNone;
  MemoryPlan::Buffer input_gradient_ = MemoryPlan::kNone;
};

}  // namespace

std::unique_ptr<Layer> MakeLinear(const LayerPlace& place, MemoryPlan& /*plan*/) {
  return std::make_unique<Linear>(place);
}

}  // namespace lambdaml::nn
