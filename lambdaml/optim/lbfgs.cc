#include "lambdaml/optim/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <functional>
#include <numeric>

namespace lambdaml::optim {
namespace {

using Vector = std::vector<double>;

double Dot(std::span<const double> a, std::span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double Norm(std::span<const double> a) { return std::sqrt(Dot(a, a)); }

// y += scale·x
void AddScaled(double scale, std::span<const double> x, std::span<double> y) {
  for (size_t i = 0; i < y.size(); ++i) y[i] += scale * x[i];
}

// The last differences s = x' - x and y = ∇f(x') - ∇f(x), and the direction they give.
class InverseHessian {
 public:
  explicit InverseHessian(int memory) : memory_(static_cast<size_t>(memory)) {}

  bool empty() const { return pairs_.empty(); }
  void Clear() { pairs_.clear(); }

  void Add(Vector s, Vector y) {
    const double sy = Dot(s, y);
    // Keeps the matrix positive definite in spite of rounding.
    if (!(sy > 1e-12 * Norm(s) * Norm(y))) return;
    if (pairs_.size() == memory_) pairs_.pop_front();
    pairs_.push_back({std::move(s), std::move(y), 1 / sy});
  }

  // direction := -H·gradient (algorithm 7.4).
  void Direction(std::span<const double> gradient, std::span<double> direction) const {
    std::transform(gradient.begin(), gradient.end(), direction.begin(), std::negate<>());
    if (pairs_.empty()) return;
    Vector alpha(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      alpha[i] = pairs_[i].rho * Dot(pairs_[i].s, direction);
      AddScaled(-alpha[i], pairs_[i].y, direction);
    }
    const Pair& last = pairs_.back();
    const double gamma = 1 / (last.rho * Dot(last.y, last.y));
    for (double& value : direction) value *= gamma;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const double beta = pairs_[i].rho * Dot(pairs_[i].y, direction);
      AddScaled(alpha[i] - beta, pairs_[i].s, direction);
    }
  }

 private:
  struct Pair {
    Vector s;
    Vector y;
    double rho;
  };

  size_t memory_;
  std::deque<Pair> pairs_;
};

// φ(α) = f(x + α·direction) on one line, and a search for a step that satisfies the Wolfe
// conditions.
class LineSearch {
 public:
  LineSearch(DifferentiableFunction& function, std::span<const double> x,
             std::span<const double> direction, double value, double slope, double value_noise)
      : function_(function),
        origin_(x),
        direction_(direction),
        start_{0, value, slope},
        noise_(value_noise * std::abs(value)),
        x_(x.size()),
        gradient_(x.size()) {}

  // True if a step was found; x(), gradient() and value() are then those of its end.
  bool Run(double first_step) {
    Sample previous = start_;
    double alpha = first_step;
    while (evaluations_ < kEvaluationsMax) {
      const Sample sample = Evaluate(alpha);
      if (Worse(sample) || (evaluations_ > 1 && sample.value > previous.value + noise_)) {
        return Zoom(previous, sample);
      }
      if (SlopeIsFlat(sample)) return true;
      if (sample.slope >= 0) return Zoom(sample, previous);
      previous = sample;
      alpha *= kGrowth;
    }
    return Decreases(last_);
  }

  std::span<const double> x() const { return x_; }
  std::span<const double> gradient() const { return gradient_; }
  double value() const { return last_.value; }
  int64_t evaluations() const { return evaluations_; }

 private:
  struct Sample {
    double alpha;
    double value;
    double slope;
  };

  static constexpr double kDecrease = 1e-4;  // c₁
  static constexpr double kCurvature = 0.9;  // c₂
  static constexpr double kGrowth = 4;
  static constexpr int64_t kEvaluationsMax = 25;

  Sample Evaluate(double alpha) {
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = origin_[i] + alpha * direction_[i];
    const double value = function_.ValueAndGradient(x_, gradient_);
    ++evaluations_;
    last_ = {alpha, value, Dot(gradient_, direction_)};
    return last_;
  }

  // Sufficient decrease; within the noise, by the slope.
  bool Decreases(const Sample& sample) const {
    if (!std::isfinite(sample.value) || !std::isfinite(sample.slope)) return false;
    if (sample.value <= start_.value + kDecrease * sample.alpha * start_.slope) return true;
    return sample.value <= start_.value + noise_ &&
           sample.slope <= (2 * kDecrease - 1) * start_.slope;
  }

  bool Worse(const Sample& sample) const { return !Decreases(sample); }

  bool SlopeIsFlat(const Sample& sample) const {
    return std::abs(sample.slope) <= -kCurvature * start_.slope;
  }

  // Between low, the better end, and high (algorithm 3.6).
  bool Zoom(Sample low, Sample high) {
    while (evaluations_ < kEvaluationsMax) {
      const Sample sample = Evaluate(Between(low, high));
      if (Worse(sample) || sample.value > low.value + noise_) {
        high = sample;
      } else {
        if (SlopeIsFlat(sample)) return true;
        if (sample.slope * (high.alpha - low.alpha) >= 0) high = low;
        low = sample;
      }
      if (std::abs(high.alpha - low.alpha) <= 1e-12 * std::abs(high.alpha)) break;
    }
    if (low.alpha > 0 && last_.alpha != low.alpha) Evaluate(low.alpha);
    return low.alpha > 0;
  }

  // The minimum of the cubic through both ends (equation 3.59), kept away from them.
  static double Between(const Sample& low, const Sample& high) {
    const double width = high.alpha - low.alpha;
    const double middle = low.alpha + 0.5 * width;
    if (!std::isfinite(high.value) || !std::isfinite(high.slope)) return low.alpha + 0.1 * width;
    const double d1 =
        low.slope + high.slope - 3 * (low.value - high.value) / (low.alpha - high.alpha);
    const double radicand = d1 * d1 - low.slope * high.slope;
    if (!(radicand >= 0)) return middle;
    const double d2 = std::copysign(std::sqrt(radicand), width);
    const double cubic =
        high.alpha - width * (high.slope + d2 - d1) / (high.slope - low.slope + 2 * d2);
    const double share = (cubic - low.alpha) / width;
    return share >= 0.05 && share <= 0.95 ? cubic : middle;
  }

  DifferentiableFunction& function_;
  std::span<const double> origin_;
  std::span<const double> direction_;
  Sample start_;
  double noise_;
  Vector x_;
  Vector gradient_;
  Sample last_{};
  int64_t evaluations_ = 0;
};

Vector Difference(std::span<const double> a, std::span<const double> b) {
  Vector difference(a.size());
  std::transform(a.begin(), a.end(), b.begin(), difference.begin(), std::minus<>());
  return difference;
}

}  // namespace

LbfgsResult MinimizeLbfgs(DifferentiableFunction& function, std::span<double> x,
                          const LbfgsOptions& options) {
  Vector gradient(x.size());
  Vector direction(x.size());
  InverseHessian inverse(options.memory);
  LbfgsResult result;
  result.value = function.ValueAndGradient(x, gradient);
  result.evaluations = 1;
  while (true) {
    const double scale = function.GradientScale();
    result.gradient_norm = Norm(gradient);
    result.relative_gradient = scale > 0 ? result.gradient_norm / scale : 0;
    result.converged = result.gradient_norm <= options.gradient_tolerance * scale;
    if (result.converged || result.iterations == options.iterations_max) return result;
    if (!std::isfinite(result.value) || !std::isfinite(result.gradient_norm)) return result;

    inverse.Direction(gradient, direction);
    double slope = Dot(gradient, direction);
    if (!(slope < 0)) {
      inverse.Clear();
      inverse.Direction(gradient, direction);
      slope = Dot(gradient, direction);
    }
    const double first_step = inverse.empty() ? 1 / std::max(1.0, result.gradient_norm) : 1.0;
    LineSearch search(function, x, direction, result.value, slope, options.value_noise);
    const bool found = search.Run(first_step);
    result.evaluations += search.evaluations();
    if (!found) {
      // Steepest descent is the last resort; if it fails too, the noise has won.
      if (inverse.empty()) return result;
      inverse.Clear();
      continue;
    }
    inverse.Add(Difference(search.x(), x), Difference(search.gradient(), gradient));
    std::ranges::copy(search.x(), x.begin());
    std::ranges::copy(search.gradient(), gradient.begin());
    result.value = search.value();
    ++result.iterations;
  }
}

}  // namespace lambdaml::optim
