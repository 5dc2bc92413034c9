// Penalties on the parameters: λ·R(w) with R = ½‖w‖² (l2) or ‖w‖₁ (l1), over the penalised
// parameters only. `penalised` is 1 or 0 for each parameter (model/objective.h).
#pragma once

#include <span>

namespace lambdaml::optim {

enum class RegularizerKind { kNone, kL1, kL2 };

struct Regularizer {
  RegularizerKind kind = RegularizerKind::kNone;
  double lambda = 0;

  // λ·R(w), summed in double.
  double Value(std::span<const float> w, std::span<const float> penalised) const;

  // gradient += ∂(λ·½‖w‖²)/∂w = λ·w for l2. Nothing for l1, whose part is the proximal step.
  void AddGradient(std::span<const float> w, std::span<const float> penalised,
                   std::span<float> gradient) const;

  // w := argmin_v  step·λ·R(v) + ½‖v - w‖²
  //
  //   l2: w / (1 + step·λ)        l1: sign(w)·max(0, |w| - step·λ)
  void ProximalStep(double step, std::span<const float> penalised, std::span<float> w) const;
};

}  // namespace lambdaml::optim
