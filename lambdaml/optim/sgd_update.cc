#include "lambdaml/optim/sgd_update.h"

namespace lambdaml::optim {

SgdUpdate::SgdUpdate(optim::Regularizer regularizer, std::span<const float> penalised,
                     double momentum)
    : regularizer_(regularizer), penalised_(penalised), momentum_(momentum) {
  if (momentum > 0) velocity_.assign(penalised.size(), 0.0F);
}

void SgdUpdate::Apply(double lr, std::span<float> gradient, std::span<float> w) {
  regularizer_.AddGradient(w, penalised_, gradient);
  std::span<const float> direction = gradient;
  if (!velocity_.empty()) {
    const auto momentum = static_cast<float>(momentum_);
    for (size_t i = 0; i < w.size(); ++i) velocity_[i] = momentum * velocity_[i] + gradient[i];
    direction = velocity_;
  }
  const auto step = static_cast<float>(lr);
  for (size_t i = 0; i < w.size(); ++i) w[i] -= step * direction[i];
  if (regularizer_.kind == RegularizerKind::kL1) {
    regularizer_.ProximalStep(lr, penalised_, w);
  }
}

}  // namespace lambdaml::optim
