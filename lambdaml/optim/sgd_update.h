// One step of (sub)gradient descent on mean loss + λR(w), given the gradient of the mean loss.
#pragma once

#include <span>
#include <vector>

#include "lambdaml/optim/regularizer.h"
#include "lambdaml/wire/state.h"

namespace lambdaml::optim {

//   g ← g + λw (l2, penalised parameters)      v ← μv + g      w ← w − η v
//   w ← soft(w, ηλ) (l1)
//
// Momentum as PyTorch defines it. Equal inputs give equal bits.
class SgdUpdate {
 public:
  SgdUpdate(Regularizer regularizer, std::span<const float> penalised, double momentum);

  // η = lr. Overwrites `gradient`.
  void Apply(double lr, std::span<float> gradient, std::span<float> w);

  void VisitState(wire::State& state) { state.Visit("velocity", std::span(velocity_)); }

 private:
  Regularizer regularizer_;
  std::span<const float> penalised_;
  double momentum_;
  std::vector<float> velocity_;  // empty without momentum
};

}  // namespace lambdaml::optim
