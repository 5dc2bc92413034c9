#include "lambdaml/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lambdaml::optim {

double LearningRate::At(int64_t step) const {
  const double t = static_cast<double>(std::min(step, steps_total_));
  const double progress = t / static_cast<double>(std::max<int64_t>(steps_total_, 1));
  switch (schedule_) {
    case Schedule::kConstant:
      return initial_;
    case Schedule::kStep:
      return progress < 0.5 ? initial_ : progress < 0.75 ? initial_ / 10 : initial_ / 100;
    case Schedule::kInverseSqrt:
      return initial_ / std::sqrt(1 + t);
    case Schedule::kCosine:
      return initial_ * (1 + std::cos(std::numbers::pi * progress)) / 2;
  }
  return initial_;
}

}  // namespace lambdaml::optim
