#include <algorithm>
#include <utility>

#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/optim/sgd_update.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

// What both asynchronous algorithms hold: a view of the shared model and the change to it.
//
// A rank that is invoked again finds in the shared model how many of its changes are there. It
// passes over as many steps: so no change is lost and none is made twice. What those steps measured
// is not known any more, and their momentum is that of the last saved state.
class AsyncAlgorithm : public Algorithm {
 public:
  AsyncAlgorithm(const Problem& problem, Exchange& exchange, comm::SharedModel& shared,
                 const wire::Job& job, std::vector<float> initial)
      : problem_(problem),
        exchange_(exchange),
        shared_(shared),
        job_(job),
        batches_(job, StepsPerEpoch(problem, *job.batch_size)),
        w_(std::move(initial)),
        updated_(w_.size()) {}

  void Begin() override {
    initial_lr_ = InitialLearningRate(problem_, exchange_, job_);
    Resume();
  }

  void Resume() override {
    shared_.Join(w_);
    // Fewer than were saved: the model has been made anew, from what was saved.
    to_pass_over_ = std::max(shared_.own_merges(), merges_) - merges_;
    merges_ = shared_.own_merges();
  }

  std::span<const float> parameters() const override { return w_; }

  void Settle() override { shared_.Join(w_); }

  void VisitState(wire::RankState& state) override {
    state.shared.Visit("lr", initial_lr_);
    state.shared.Visit("w", std::span(w_));
    state.own.Visit("merges", merges_);
  }

 protected:
  // Whether this step's change is in the shared model already. To be asked once for each change.
  bool IsMerged() {
    if (to_pass_over_ == 0) return false;
    --to_pass_over_;
    return true;
  }

  // Merges weight · (updated − w) into the shared model and goes on from the result.
  void MergeUpdated(float weight) {
    for (size_t i = 0; i < w_.size(); ++i) updated_[i] = weight * (updated_[i] - w_[i]);
    shared_.Merge(updated_, w_);
    merges_ = shared_.own_merges();
  }

  const Problem& problem_;
  Exchange& exchange_;
  comm::SharedModel& shared_;
  const wire::Job& job_;
  Batches batches_;
  double initial_lr_ = 0;
  std::vector<float> w_;
  std::vector<float> updated_;

 private:
  uint64_t merges_ = 0;  // of this rank, in the shared model
  uint64_t to_pass_over_ = 0;
};

// Each worker's steps are full SGD steps on its own batches (Dean et al. 2012, "Large Scale
// Distributed Deep Networks", Downpour SGD with a push and a pull every step).
class AsyncGradAvg final : public AsyncAlgorithm {
 public:
  AsyncGradAvg(const Problem& problem, Exchange& exchange, comm::SharedModel& shared,
               const wire::Job& job, std::vector<float> initial)
      : AsyncAlgorithm(problem, exchange, shared, job, std::move(initial)),
        update_(problem.regularizer, problem.objective.penalised(), job.momentum.value_or(0)),
        gradient_(w_.size()) {}

  int64_t steps_per_epoch() const override { return batches_.per_epoch(); }

  model::LossStats RunStep(int64_t epoch, int64_t step) override {
    const model::RowRange rows =
        optim::BatchRows(problem_.objective.rows(),
                         batches_.OrderOf(epoch)[static_cast<size_t>(step)], *job_.batch_size);
    if (rows.size() == 0 || IsMerged()) return {};
    const model::LossStats stats = problem_.objective.Gradient(rows, w_, gradient_);
    const float scale = 1 / static_cast<float>(rows.size());
    for (float& value : gradient_) value *= scale;
    updated_ = w_;
    update_.Apply(batches_.LrAt(initial_lr_, epoch, step), gradient_, updated_);
    MergeUpdated(1);
    return stats;
  }

  void VisitState(wire::RankState& state) override {
    AsyncAlgorithm::VisitState(state);
    update_.VisitState(state.own);
  }

 private:
  optim::SgdUpdate update_;
  std::vector<float> gradient_;
};

// Each worker's change is that of a local epoch, in the proportion of its part in the whole.
class AsyncModelAvg final : public AsyncAlgorithm {
 public:
  AsyncModelAvg(const Problem& problem, Exchange& exchange, comm::SharedModel& shared,
                const wire::Job& job, std::vector<float> initial)
      : AsyncAlgorithm(problem, exchange, shared, job, std::move(initial)),
        weight_(1 / static_cast<float>(exchange.worker_count())),
        local_(problem.objective, LocalSgdOptionsOf(problem, job)) {}

  model::LossStats RunStep(int64_t epoch, int64_t /*step*/) override {
    if (IsMerged()) return {};
    updated_ = w_;
    const model::LossStats stats =
        local_.RunEpoch(batches_.Rate(initial_lr_), epoch * batches_.per_epoch(),
                        batches_.OrderOf(epoch), updated_);
    MergeUpdated(weight_);
    return stats;
  }

  void VisitState(wire::RankState& state) override {
    AsyncAlgorithm::VisitState(state);
    local_.VisitState(state.own);
  }

 private:
  const float weight_;
  optim::LocalSgd local_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeAsyncGradAvg(const Problem& problem, Exchange& exchange,
                                            comm::SharedModel& shared, const wire::Job& job,
                                            std::vector<float> initial) {
  return std::make_unique<AsyncGradAvg>(problem, exchange, shared, job, std::move(initial));
}

std::unique_ptr<Algorithm> MakeAsyncModelAvg(const Problem& problem, Exchange& exchange,
                                             comm::SharedModel& shared, const wire::Job& job,
                                             std::vector<float> initial) {
  return std::make_unique<AsyncModelAvg>(problem, exchange, shared, job, std::move(initial));
}

}  // namespace lambdaml::train
