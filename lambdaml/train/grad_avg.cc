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
        steps_(StepsPerEpoch(problem, *job.batch_size)),
        lr_(LearningRateOf(problem, exchange, job, *job.n_epochs * steps_)),
        update_(problem.regularizer, problem.objective.penalised(), job.momentum.value_or(0)),
        w_(std::move(initial)),
        gradient_(w_.size()) {}

  model::LossStats RunEpoch(int64_t epoch) override {
    model::LossStats stats;
    int64_t step = epoch * steps_;
    for (const int64_t batch : BatchOrder(job_, epoch, steps_)) {
      const model::RowRange rows =
          optim::BatchRows(problem_.objective.rows(), batch, *job_.batch_size);
      stats += problem_.objective.Gradient(rows, w_, gradient_);
      std::array<double, 1> count = {static_cast<double>(rows.size())};
      exchange_.Sum(count, gradient_);
      const auto scale = static_cast<float>(1 / count[0]);
      for (float& value : gradient_) value *= scale;
      update_.Apply(lr_.At(step++), gradient_, w_);
    }
    return stats;
  }

  std::span<const float> parameters() const override { return w_; }

 private:
  const Problem& problem_;
  Exchange& exchange_;
  const wire::Job& job_;
  const int64_t steps_;
  const optim::LearningRate lr_;
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
