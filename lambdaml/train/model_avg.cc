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
      : exchange_(exchange),
        job_(job),
        steps_(StepsPerEpoch(problem, *job.batch_size)),
        weight_(static_cast<double>(problem.objective.rows()) /
                static_cast<double>(problem.rows_total)),
        lr_(LearningRateOf(problem, exchange, job, *job.n_epochs * steps_)),
        local_(problem.objective, LocalSgdOptionsOf(problem, job)),
        w_(std::move(initial)) {}

  model::LossStats RunEpoch(int64_t epoch) override {
    const model::LossStats stats =
        local_.RunEpoch(lr_, epoch * steps_, BatchOrder(job_, epoch, steps_), w_);
    for (float& value : w_) value = static_cast<float>(weight_ * value);
    exchange_.Sum({}, w_);
    return stats;
  }

  std::span<const float> parameters() const override { return w_; }

 private:
  Exchange& exchange_;
  const wire::Job& job_;
  const int64_t steps_;
  const double weight_;  // this rank's share of the rows
  const optim::LearningRate lr_;
  optim::LocalSgd local_;
  std::vector<float> w_;
};

}  // namespace

std::unique_ptr<Algorithm> MakeModelAvg(const Problem& problem, Exchange& exchange,
                                        const wire::Job& job, std::vector<float> initial) {
  return std::make_unique<ModelAvg>(problem, exchange, job, std::move(initial));
}

}  // namespace lambdaml::train
