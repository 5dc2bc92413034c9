#include <utility>

#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

class ModelAvg final : public Algorithm {
 public:
  ModelAvg(const Problem& problem, Exchange& exchange, const wire::Job& job,
           std::vector<float> initial)
      : problem_(problem),
        exchange_(exchange),
        job_(job),
        batches_(job, StepsPerEpoch(problem, *job.batch_size)),
        weight_(static_cast<double>(problem.objective.rows()) /
                static_cast<double>(problem.rows_total)),
        local_(problem.objective, LocalSgdOptionsOf(problem, job)),
        w_(std::move(initial)) {}

  void Begin() override { initial_lr_ = InitialLearningRate(problem_, exchange_, job_); }

  // An epoch is one step, because only at its end do the ranks meet.
  model::LossStats RunStep(int64_t epoch, int64_t /*step*/) override {
    const model::LossStats stats = local_.RunEpoch(
        batches_.Rate(initial_lr_), epoch * batches_.per_epoch(), batches_.OrderOf(epoch), w_);
    for (float& value : w_) value = static_cast<float>(weight_ * value);
    exchange_.Sum({}, w_);
    return stats;
  }

  std::span<const float> parameters() const override { return w_; }

  void VisitState(wire::RankState& state) override {
    state.shared.Visit("lr", initial_lr_);
    state.shared.Visit("w", std::span(w_));
    local_.VisitState(state.own);
  }

 private:
  const Problem& problem_;
  Exchange& exchange_;
  const wire::Job& job_;
  Batches batches_;
  const double weight_;  // this rank's share of the rows
  double initial_lr_ = 0;
  optim::LocalSgd local_;
  std::vector<float> w_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeModelAvg(const Problem& problem, Exchange& exchange,
                                        const wire::Job& job, std::vector<float> initial) {
  return std::make_unique<ModelAvg>(problem, exchange, job, std::move(initial));
}

}  // namespace lambdaml::train
