// Stochastic gradient descent with momentum and weight decay, as PyTorch's torch.optim.SGD.
#pragma once

#include <span>

namespace lambdaml::nn {

struct MomentumSgd {
  float learning_rate = 0.1F;  // η
  float momentum = 0;          // μ
  float weight_decay = 0;      // λ
  int thread_count = 1;

  //   v ← μ v + g + λ w      w ← w − η v
  //
  // v starts as zeros, is the caller's, and is part of a checkpoint; equal inputs give equal bits,
  // whatever thread_count is. All spans have one size. One pass over memory.
  void Apply(std::span<const float> gradient, std::span<float> velocity, std::span<float> w) const;
};

}  // namespace lambdaml::nn
