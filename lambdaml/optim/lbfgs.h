// Limited-memory BFGS (Nocedal and Wright 2006, "Numerical Optimization", algorithms 7.4 and 7.5)
// with a line search for the strong Wolfe conditions (algorithms 3.5 and 3.6).
//
// Functions computed in float32 have noise, below which values no longer tell better from worse;
// near a minimum a step is then accepted by its slope (the approximate Wolfe condition of Hager and
// Zhang 2005).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lambdaml::optim {

class DifferentiableFunction {
 public:
  virtual ~DifferentiableFunction() = default;

  // Returns the value at x and sets the gradient.
  virtual double ValueAndGradient(std::span<const double> x, std::span<double> gradient) = 0;

  // What the gradient's norm is measured against at the point last evaluated.
  virtual double GradientScale() const { return 1; }
};

struct LbfgsOptions {
  int memory = 10;  // pairs of differences kept
  // Stops where ‖gradient‖ <= gradient_tolerance · GradientScale().
  double gradient_tolerance = 1e-6;
  int64_t iterations_max = 100;
  // Differences of values below so much of the value are noise.
  double value_noise = 1e-7;
};

struct LbfgsResult {
  double value = 0;
  double gradient_norm = 0;
  double relative_gradient = 0;  // ‖gradient‖ / GradientScale()
  int64_t iterations = 0;
  int64_t evaluations = 0;
  bool converged = false;  // false: the iterations ran out, or no step made progress
};

// Minimises from x on; x becomes the best point found. A value that is not finite counts as worse
// than any other; if it is so at the start, x stays.
LbfgsResult MinimizeLbfgs(DifferentiableFunction& function, std::span<double> x,
                          const LbfgsOptions& options);

}  // namespace lambdaml::optim
