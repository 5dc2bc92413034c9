#include <array>
#include <utility>

#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/optim/sgd_update.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

class GradAvg final : public Algorithm {
 public:
  GradAvg(const Problem& problem, Exchange& exchange, const wire::Job& job,
          std::vector<float> initial)
      : problem_(problem),
        exchange_(exchange),
        job_(job),
        batches_(job, StepsPerEpoch(problem, *job.batch_size)),
        update_(problem.regularizer, problem.objective.penalised(), job.momentum.value_or(0)),
        w_(std::move(initial)),
        gradient_(w_.size()) {}

  void Begin() override { initial_lr_ = InitialLearningRate(problem_, exchange_, job_); }

  int64_t steps_per_epoch() const override { return batches_.per_epoch(); }

  model::LossStats RunStep(int64_t epoch, int64_t step) override {
    const model::RowRange rows =
        optim::BatchRows(problem_.objective.rows(),
                         batches_.OrderOf(epoch)[static_cast<size_t>(step)], *job_.batch_size);
    const model::LossStats stats = problem_.objective.Gradient(rows, w_, gradient_);
    std::array<double, 1> count = {static_cast<double>(rows.size())};
    exchange_.Sum(count, gradient_);
    const auto scale = static_cast<float>(1 / count[0]);
    for (float& value : gradient_) value *= scale;
    update_.Apply(batches_.LrAt(initial_lr_, epoch, step), gradient_, w_);
    return stats;
  }

  std::span<const float> parameters() const override { return w_; }

  void VisitState(wire::RankState& state) override {
    state.shared.Visit("lr", initial_lr_);
    state.shared.Visit("w", std::span(w_));
    update_.VisitState(state.shared);
  }

 private:
  const Problem& problem_;
  Exchange& exchange_;
  const wire::Job& job_;
  Batches batches_;
  double initial_lr_ = 0;
  optim::SgdUpdate update_;
  std::vector<float> w_;
  std::vector<float> gradient_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeGradAvg(const Problem& problem, Exchange& exchange,
                                       const wire::Job& job, std::vector<float> initial) {
  return std::make_unique<GradAvg>(problem, exchange, job, std::move(initial));
}

}  // namespace lambdaml::train
