#include <algorithm>
#include <cmath>
#include <utility>

#include "lambdaml/optim/proximal_solver.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

double NormSquared(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * value;
  return sum;
}

double DistanceSquared(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - b[i];
    sum += difference * difference;
  }
  return sum;
}

// Over-relaxation (Boyd et al. §3.4.3, which recommends 1.5 to 1.8).
constexpr float kRelaxation = 1.6F;
// rho starts low: local solutions then count for much, and raising rho later costs few rounds.
constexpr double kInitialRhoOfCurvature = 1e-4;
// Residuals that differ by more than this factor are balanced by changing rho (§3.4.1), by the
// square root of their ratio (Wohlberg 2017, "ADMM penalty parameter selection by residual
// balancing"), bounded because the residuals are one round old.
constexpr double kResidualRatioMax = 2;
constexpr double kRhoFactorMax = 2;
// Changes of rho end after so many rounds, which keeps the convergence proof (§3.4.1).
constexpr int64_t kAdaptRoundsMax = 50;

class Admm final : public Algorithm {
 public:
  Admm(const Problem& problem, Exchange& exchange, const wire::Job& job, std::vector<float> initial,
       optim::ProximalSolver& solver)
      : problem_(problem),
        exchange_(exchange),
        solver_(solver),
        tolerance_(job.tolerance),
        adapts_rho_(!job.rho),
        workers_(exchange.worker_count()),
        rho_(job.rho.value_or(0)),
        x_(initial),
        u_(initial.size(), 0.0F),
        z_(std::move(initial)),
        previous_z_(z_.size()),
        anchor_(z_.size()) {}

  void Begin() override {
    if (adapts_rho_) rho_ = InitialRho();
  }

  model::LossStats RunStep(int64_t epoch, int64_t /*step*/) override {
    round_ = epoch;
    for (size_t i = 0; i < z_.size(); ++i) anchor_[i] = z_[i] - u_[i];
    solver_.Solve(rho_, anchor_, x_);
    previous_z_ = z_;
    std::vector<float>& relaxed = anchor_;  // the anchor has served
    for (size_t i = 0; i < z_.size(); ++i) {
      relaxed[i] = kRelaxation * x_[i] + (1 - kRelaxation) * z_[i];
      z_[i] = relaxed[i] + u_[i];
    }
    exchange_.Sum({}, z_);
    const auto scale = static_cast<float>(1.0 / workers_);
    for (float& value : z_) value *= scale;
    problem_.regularizer.ProximalStep(1 / (workers_ * rho_), problem_.objective.penalised(), z_);
    for (size_t i = 0; i < z_.size(); ++i) u_[i] += relaxed[i] - z_[i];
    dual_residual_ = rho_ * std::sqrt(workers_ * DistanceSquared(z_, previous_z_));
    if (epoch == 0) first_dual_residual_ = dual_residual_;
    return problem_.objective.Evaluate({0, problem_.objective.rows()}, z_);
  }

  std::span<const float> parameters() const override { return z_; }

  void AddSums(EpochSums& mine) override {
    mine.primal_residual_sq = DistanceSquared(x_, z_);
    mine.local_norm_sq = NormSquared(x_);
    mine.dual_norm_sq = rho_ * rho_ * NormSquared(u_);
    awaited_ = {dual_residual_, workers_ * NormSquared(z_)};
  }

  // The stopping rule of Boyd et al. §3.3.1 in relative form. Without a regulariser and with one
  // worker u stays 0, so the first round's dual residual, a gradient's norm, bounds its scale.
  bool OnSums(const EpochSums& sums) override {
    const double primal_scale = std::sqrt(std::max(sums.local_norm_sq, awaited_.consensus_norm_sq));
    const double dual_scale = std::max(std::sqrt(sums.dual_norm_sq), first_dual_residual_);
    primal_ = primal_scale > 0 ? std::sqrt(sums.primal_residual_sq) / primal_scale : 0;
    dual_ = dual_scale > 0 ? awaited_.dual_residual / dual_scale : 0;
    if (primal_ <= tolerance_ && dual_ <= tolerance_) return true;
    if (adapts_rho_ && round_ < kAdaptRoundsMax) BalanceResiduals();
    return false;
  }

  std::vector<std::pair<std::string, double>> Details() const override {
    return {{"primal_residual", primal_}, {"dual_residual", dual_}};
  }

  void VisitState(wire::RankState& state) override {
    state.shared.Visit("rho", rho_);
    state.shared.Visit("z", std::span(z_));
    state.shared.Visit("round", round_);
    state.shared.Visit("dual_residual", dual_residual_);
    state.shared.Visit("first_dual_residual", first_dual_residual_);
    state.shared.Visit("awaited_dual_residual", awaited_.dual_residual);
    state.shared.Visit("awaited_norm_sq", awaited_.consensus_norm_sq);
    state.shared.Visit("primal", primal_);
    state.shared.Visit("dual", dual_);
    state.own.Visit("x", std::span(x_));
    state.own.Visit("u", std::span(u_));
    solver_.VisitState(state.own);
  }

 private:
  double InitialRho() {
    const double curvature = MeanCurvature(problem_, exchange_);
    return curvature > 0 ? kInitialRhoOfCurvature * curvature / workers_ : 1;
  }

  void BalanceResiduals() {
    if (primal_ == dual_) return;
    // Infinite where l1 still holds z at zero: rho is then far too small.
    const double ratio = primal_ / dual_;
    if (ratio <= kResidualRatioMax && ratio >= 1 / kResidualRatioMax) return;
    const double factor = std::clamp(std::sqrt(ratio), 1 / kRhoFactorMax, kRhoFactorMax);
    rho_ *= factor;
    // u is the dual variable scaled by 1/rho.
    const auto rescale = static_cast<float>(1 / factor);
    for (float& value : u_) value *= rescale;
  }

  const Problem& problem_;
  Exchange& exchange_;
  optim::ProximalSolver& solver_;
  const double tolerance_;
  const bool adapts_rho_;
  const double workers_;
  double rho_;
  std::vector<float> x_;  // this worker's copy of the parameters
  std::vector<float> u_;  // its scaled dual variable
  std::vector<float> z_;  // the consensus
  std::vector<float> previous_z_;
  std::vector<float> anchor_;  // z − u
  int64_t round_ = 0;
  double dual_residual_ = 0;  // of the round just run
  double first_dual_residual_ = 0;
  struct {
    double dual_residual = 0;
    double consensus_norm_sq = 0;
  } awaited_;          // of the round whose sums are on their way
  double primal_ = 0;  // relative residuals last learnt of
  double dual_ = 0;
};

}  // namespace

std::unique_ptr<Algorithm> MakeAdmm(const Problem& problem, Exchange& exchange,
                                    const wire::Job& job, std::vector<float> initial,
                                    optim::ProximalSolver& solver) {
  return std::make_unique<Admm>(problem, exchange, job, std::move(initial), solver);
}

}  // namespace lambdaml::train
