#include "lambdaml/nn/momentum_sgd.h"

#include <cstdint>

#include "lambdaml/base/check.h"

namespace lambdaml::nn {

void MomentumSgd::Apply(std::span<const float> gradient, std::span<float> velocity,
                        std::span<float> w) const {
  LAMBDAML_CHECK(gradient.size() == w.size() && velocity.size() == w.size());
  const auto count = static_cast<int64_t>(w.size());
  const float* const g = gradient.data();
  float* const v = velocity.data();
  float* const x = w.data();
  const float rate = learning_rate;
  const float mu = momentum;
  const float decay = weight_decay;
#pragma omp parallel for simd num_threads(thread_count) schedule(static)
  for (int64_t i = 0; i < count; ++i) {
    v[i] = mu * v[i] + (g[i] + decay * x[i]);
    x[i] -= rate * v[i];
  }
}

}  // namespace lambdaml::nn
