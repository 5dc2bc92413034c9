// A point kept as scale·v, so that shrinking it costs one multiplication.
#pragma once

#include <cstddef>
#include <span>

#include "lambdaml/model/objective.h"

namespace lambdaml::optim {

//   w_i = scale_i·v_i    with one scale for the penalised parameters and one for the others
//
// Before a scale leaves the range in which v keeps its digits, it is multiplied into v: one pass
// over the parameters, once in thousands of steps.
class ScaledPoint {
 public:
  // Takes w over as v, with scales of 1; the span must stay until Settle.
  ScaledPoint(std::span<float> w, std::span<const float> penalised)
      : v_(w), penalised_(penalised) {}

  std::span<float> v() const { return v_; }
  model::ScaledDescent::Factors scale() const {
    return {static_cast<float>(penalised_scale_), static_cast<float>(others_scale_)};
  }

  // Multiplies the penalised parameters and the others by factors in (0, 1].
  void Shrink(double penalised_factor, double others_factor) {
    constexpr double kScaleMin = 1e-3;
    penalised_scale_ *= penalised_factor;
    others_scale_ *= others_factor;
    if (penalised_scale_ < kScaleMin || others_scale_ < kScaleMin) Settle();
  }

  // v := w, with scales of 1.
  void Settle() {
    const auto [penalised_scale, others_scale] = scale();
    for (size_t i = 0; i < v_.size(); ++i) {
      v_[i] *= penalised_[i] > 0 ? penalised_scale : others_scale;
    }
    penalised_scale_ = others_scale_ = 1;
  }

 private:
  std::span<float> v_;
  std::span<const float> penalised_;
  double penalised_scale_ = 1;
  double others_scale_ = 1;
};

}  // namespace lambdaml::optim
