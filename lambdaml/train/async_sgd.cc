#include <utility>

#include "lambdaml/optim/local_sgd.h"
#include "lambdaml/optim/sgd_update.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/step_size.h"

namespace lambdaml::train {
namespace {

// What both asynchronous algorithms hold: a view of the shared model and the change to it.
class AsyncAlgorithm : public Algorithm {
 public:
  AsyncAlgorithm(comm::SharedModel& shared, std::vector<float> initial)
      : shared_(shared), w_(std::move(initial)), updated_(w_.size()) {
    shared_.Join(w_);
  }

  std::span<const float> parameters() const override { return w_; }

  void Settle() override { shared_.Join(w_); }

 protected:
  // Merges weight · (updated − w) into the shared model and goes on from the result.
  void MergeUpdated(float weight) {
    for (size_t i = 0; i < w_.size(); ++i) updated_[i] = weight * (updated_[i] - w_[i]);
    shared_.Merge(updated_, w_);
  }

  comm::SharedModel& shared_;
  std::vector<float> w_;
  std::vector<float> updated_;
};

// Each worker's steps are full SGD steps on its own batches (Dean et al. 2012, "Large Scale
// Distributed Deep Networks", Downpour SGD with a push and a pull every step).
class AsyncGradAvg final : public AsyncAlgorithm {
 public:
  AsyncGradAvg(const Problem& problem, Exchange& exchange, comm::SharedModel& shared,
               const wire::Job& job, std::vector<float> initial)
      : AsyncAlgorithm(shared, std::move(initial)),
        problem_(problem),
        job_(job),
        steps_(StepsPerEpoch(problem, *job.batch_size)),
        lr_(LearningRateOf(problem, exchange, job, *job.n_epochs * steps_)),
        update_(problem.regularizer, problem.objective.penalised(), job.momentum.value_or(0)),
        gradient_(w_.size()) {}

  model::LossStats RunEpoch(int64_t epoch) override {
    model::LossStats stats;
    int64_t step = epoch * steps_;
    for (const int64_t batch : BatchOrder(job_, epoch, steps_)) {
      const model::RowRange rows =
          optim::BatchRows(problem_.objective.rows(), batch, *job_.batch_size);
      const double lr = lr_.At(step++);
      if (rows.size() == 0) continue;
      stats += problem_.objective.Gradient(rows, w_, gradient_);
      const float scale = 1 / static_cast<float>(rows.size());
      for (float& value : gradient_) value *= scale;
      updated_ = w_;
      update_.Apply(lr, gradient_, updated_);
      MergeUpdated(1);
    }
    return stats;
  }

 private:
  const Problem& problem_;
  const wire::Job& job_;
  const int64_t steps_;
  const optim::LearningRate lr_;
  optim::SgdUpdate update_;
  std::vector<float> gradient_;
};

// Each worker's change is that of a local epoch, in the proportion of its part in the whole.
class AsyncModelAvg final : public AsyncAlgorithm {
 public:
  AsyncModelAvg(const Problem& problem, Exchange& exchange, comm::SharedModel& shared,
                const wire::Job& job, std::vector<float> initial)
      : AsyncAlgorithm(shared, std::move(initial)),
        job_(job),
        steps_(StepsPerEpoch(problem, *job.batch_size)),
        weight_(1 / static_cast<float>(exchange.worker_count())),
        lr_(LearningRateOf(problem, exchange, job, *job.n_epochs * steps_)),
        local_(problem.objective, LocalSgdOptionsOf(problem, job)) {}

  model::LossStats RunEpoch(int64_t epoch) override {
    updated_ = w_;
    const model::LossStats stats =
        local_.RunEpoch(lr_, epoch * steps_, BatchOrder(job_, epoch, steps_), updated_);
    MergeUpdated(weight_);
    return stats;
  }

 private:
  const wire::Job& job_;
  const int64_t steps_;
  const float weight_;
  const optim::LearningRate lr_;
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
