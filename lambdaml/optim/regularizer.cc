#include "lambdaml/optim/regularizer.h"

#include <cmath>
#include <cstddef>

namespace lambdaml::optim {

double Regularizer::Value(std::span<const float> w, std::span<const float> penalised) const {
  double sum = 0;
  for (size_t i = 0; i < w.size() && kind != RegularizerKind::kNone; ++i) {
    const double value = static_cast<double>(w[i]) * static_cast<double>(penalised[i]);
    sum += kind == RegularizerKind::kL1 ? std::abs(value) : 0.5 * value * value;
  }
  return lambda * sum;
}

void Regularizer::AddGradient(std::span<const float> w, std::span<const float> penalised,
                              std::span<float> gradient) const {
  if (kind != RegularizerKind::kL2) return;
  const auto weight = static_cast<float>(lambda);
  for (size_t i = 0; i < w.size(); ++i) gradient[i] += weight * penalised[i] * w[i];
}

void Regularizer::ProximalStep(double step, std::span<const float> penalised,
                               std::span<float> w) const {
  if (kind == RegularizerKind::kNone) return;
  const auto amount = static_cast<float>(step * lambda);
  if (kind == RegularizerKind::kL2) {
    for (size_t i = 0; i < w.size(); ++i) w[i] /= 1 + amount * penalised[i];
    return;
  }
  for (size_t i = 0; i < w.size(); ++i) {
    const float threshold = amount * penalised[i];
    const float beyond = std::abs(w[i]) - threshold;
    w[i] = beyond > 0 ? std::copysign(beyond, w[i]) : 0.0F;
  }
}

}  // namespace lambdaml::optim
