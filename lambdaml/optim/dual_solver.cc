#include <algorithm>
#include <cmath>
#include <vector>

#include "lambdaml/base/check.h"
#include "lambdaml/base/random.h"
#include "lambdaml/optim/proximal_solver.h"

namespace lambdaml::optim {
namespace {

// The rows of a linear objective with the bias as one more feature: the two operations coordinate
// descent is made of, for one output of the parameters.
class Rows {
 public:
  explicit Rows(const model::LinearObjective& objective)
      : dataset_(objective.dataset()),
        n_outputs_(objective.shape().n_outputs()),
        bias_(objective.shape().bias),
        bias_offset_(objective.shape().bias_offset()) {}

  // x·row for output k.
  double Dot(int64_t r, std::span<const double> x, int64_t k) const {
    double sum = bias_ ? x[static_cast<size_t>(bias_offset_ + k)] : 0;
    ForEachEntry(r, [&](int64_t j, double value) { sum += x[At(j, k)] * value; });
    return sum;
  }

  // x += scale·row for output k.
  void AddScaled(double scale, int64_t r, std::span<double> x, int64_t k) const {
    if (bias_) x[static_cast<size_t>(bias_offset_ + k)] += scale;
    ForEachEntry(r, [&](int64_t j, double value) { x[At(j, k)] += scale * value; });
  }

  double NormSquared(int64_t r) const {
    double sum = bias_ ? 1 : 0;
    ForEachEntry(r, [&](int64_t, double value) { sum += value * value; });
    return sum;
  }

 private:
  size_t At(int64_t j, int64_t k) const { return static_cast<size_t>(j * n_outputs_ + k); }

  template <typename Use>
  void ForEachEntry(int64_t r, const Use& use) const {
    if (dataset_.is_dense()) {
      const data::DenseRows& rows = dataset_.dense();
      const float* values = rows.row(r);
      for (int64_t j = 0; j < rows.n_features; ++j) use(j, static_cast<double>(values[j]));
      return;
    }
    const data::SparseRows& rows = dataset_.sparse();
    const auto begin = static_cast<size_t>(rows.row_offsets[static_cast<size_t>(r)]);
    const auto end = static_cast<size_t>(rows.row_offsets[static_cast<size_t>(r) + 1]);
    for (size_t i = begin; i < end; ++i) {
      use(rows.columns[i], static_cast<double>(rows.values[i]));
    }
  }

  const data::Dataset& dataset_;
  int64_t n_outputs_;
  bool bias_;
  int64_t bias_offset_;
};

class DualSolver final : public ProximalSolver {
 public:
  DualSolver(model::LinearObjective& objective, const DualSolverOptions& options)
      : objective_(objective),
        options_(options),
        rows_(objective),
        n_outputs_(objective.shape().n_outputs()),
        beta_(static_cast<size_t>(objective.rows() * n_outputs_), 0.0),
        norm_sq_(static_cast<size_t>(objective.rows())) {
    LAMBDAML_CHECK(objective.loss() == model::LinearLoss::kHinge);
    for (int64_t r = 0; r < objective.rows(); ++r) {
      norm_sq_[static_cast<size_t>(r)] = rows_.NormSquared(r);
    }
  }

  ProximalResult Solve(double rho, std::span<const float> anchor, std::span<float> x) override {
    x_.assign(anchor.begin(), anchor.end());
    ProximalResult result;
    AddDualVariables(1 / rho);
    result.passes = 1;
    while (result.iterations < options_.passes_max) {
      RunPass(rho);
      ++result.iterations;
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(x_[i]);
      result.inaccuracy = RelativeGap(rho, anchor, x);
      result.passes += 2;
      if (result.inaccuracy <= options_.tolerance) break;
    }
    return result;
  }

  void VisitState(wire::State& state) override {
    state.Visit("solver_beta", std::span(beta_));
    state.Visit("solver_passes", passes_run_);
  }

 private:
  double& Beta(int64_t r, int64_t k) { return beta_[static_cast<size_t>(r * n_outputs_ + k)]; }

  // +1 where the row's class is the one output k speaks for.
  double Sign(int64_t r, int64_t k) const {
    const int32_t y = objective_.classes()[static_cast<size_t>(r)];
    return y == (n_outputs_ == 1 ? 1 : k) ? 1.0 : -1.0;
  }

  // x += scale·Σ β·t·row.
  void AddDualVariables(double scale) {
    for (int64_t r = 0; r < objective_.rows(); ++r) {
      for (int64_t k = 0; k < n_outputs_; ++k) {
        const double beta = Beta(r, k);
        if (beta > 0) rows_.AddScaled(scale * beta * Sign(r, k), r, x_, k);
      }
    }
  }

  void RunPass(double rho) {
    for (const int64_t r :
         base::Permutation(objective_.rows(), base::MixSeed(options_.seed, passes_run_++))) {
      const double norm_sq = norm_sq_[static_cast<size_t>(r)];
      for (int64_t k = 0; k < n_outputs_; ++k) Descend(r, k, rho, norm_sq);
    }
  }

  // Minimises the dual over one variable.
  void Descend(int64_t r, int64_t k, double rho, double norm_sq) {
    const double t = Sign(r, k);
    double& beta = Beta(r, k);
    const double gradient = t * rows_.Dot(r, x_, k) - 1;
    // A row without features has a linear dual: its loss does not depend on x.
    const double goal = norm_sq > 0 ? beta - rho * gradient / norm_sq : options_.data_weight;
    const double moved = std::clamp(goal, 0.0, options_.data_weight);
    if (moved == beta) return;
    rows_.AddScaled((moved - beta) * t / rho, r, x_, k);
    beta = moved;
  }

  // Primal minus dual, over the primal. With d = x - a:
  //   primal = c·f(x) + (ρ/2)·‖d‖²      dual = Σβ - ρ·a·d - (ρ/2)·‖d‖²
  double RelativeGap(double rho, std::span<const float> anchor, std::span<const float> x) {
    double distance_sq = 0;
    double along_anchor = 0;
    for (size_t i = 0; i < x_.size(); ++i) {
      const auto a = static_cast<double>(anchor[i]);
      const double d = x_[i] - a;
      distance_sq += d * d;
      along_anchor += a * d;
    }
    double beta_sum = 0;
    for (const double beta : beta_) beta_sum += beta;
    const double loss = objective_.Evaluate({0, objective_.rows()}, x).loss_sum;
    const double primal = options_.data_weight * loss + 0.5 * rho * distance_sq;
    const double dual = beta_sum - rho * along_anchor - 0.5 * rho * distance_sq;
    return primal > 0 ? (primal - dual) / primal : 0;
  }

  model::LinearObjective& objective_;
  DualSolverOptions options_;
  Rows rows_;
  int64_t n_outputs_;
  std::vector<double> beta_;     // per row and output
  std::vector<double> norm_sq_;  // per row, the bias counted
  std::vector<double> x_;
  uint64_t passes_run_ = 0;
};

}  // namespace

std::unique_ptr<ProximalSolver> MakeDualSolver(model::LinearObjective& objective,
                                               const DualSolverOptions& options) {
  return std::make_unique<DualSolver>(objective, options);
}

}  // namespace lambdaml::optim
