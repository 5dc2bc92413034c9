// Learning rates over the course of a run, as pure functions of the step.
#pragma once

#include <cstdint>

namespace lambdaml::optim {

// η_t of step t = 0, 1, … of T:
//
//   constant       η
//   step           η, η/10 from t = T/2 on, η/100 from t = 3T/4 on (He et al. 2016, "Deep Residual
//                  Learning for Image Recognition", section 4.2)
//   inverse_sqrt   η / √(1 + t)
//   cosine         η·(1 + cos(πt/T)) / 2 (Loshchilov and Hutter 2017, "SGDR", without restarts)
enum class Schedule { kConstant, kStep, kInverseSqrt, kCosine };

class LearningRate {
 public:
  // initial: η. steps_total: T; steps beyond it have the rate of its end.
  LearningRate(Schedule schedule, double initial, int64_t steps_total)
      : schedule_(schedule), initial_(initial), steps_total_(steps_total) {}

  double At(int64_t step) const;

 private:
  Schedule schedule_;
  double initial_;
  int64_t steps_total_;
};

}  // namespace lambdaml::optim
