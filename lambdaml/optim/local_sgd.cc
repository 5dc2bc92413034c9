#include "lambdaml/optim/local_sgd.h"

#include <algorithm>

#include "lambdaml/optim/scaled_point.h"

namespace lambdaml::optim {

model::RowRange BatchRows(int64_t rows, int64_t batch, int64_t batch_size) {
  if (batch_size == 0) return {0, rows};
  return {std::min(rows, batch * batch_size), std::min(rows, (batch + 1) * batch_size)};
}

LocalSgd::LocalSgd(model::Objective& objective, const LocalSgdOptions& options)
    : objective_(objective),
      options_(options),
      update_(options.regularizer, objective.penalised(), options.momentum) {}

model::LossStats LocalSgd::RunEpoch(const LearningRate& lr, int64_t first_step,
                                    std::span<const int64_t> batch_order, std::span<float> w) {
  // Schedules never rise, so the first step shrinks w most.
  const double shrinking = lr.At(first_step) * options_.regularizer.lambda;
  if (options_.momentum == 0 && options_.regularizer.kind == RegularizerKind::kL2 &&
      shrinking < 0.5 && objective_.scaled_descent() != nullptr) {
    return RunScaledEpoch(lr, first_step, batch_order, w);
  }
  model::LossStats stats;
  for (size_t i = 0; i < batch_order.size(); ++i) {
    const model::RowRange rows = BatchRows(objective_.rows(), batch_order[i], options_.batch_size);
    if (rows.size() == 0) continue;
    stats += Step(rows, lr.At(first_step + static_cast<int64_t>(i)), w);
  }
  return stats;
}

model::LossStats LocalSgd::Step(model::RowRange rows, double lr, std::span<float> w) {
  const double batch_rows = static_cast<double>(rows.size());
  if (options_.momentum == 0 && options_.regularizer.kind != RegularizerKind::kL2) {
    const model::LossStats stats = objective_.Descend(rows, static_cast<float>(lr / batch_rows), w);
    options_.regularizer.ProximalStep(lr, objective_.penalised(), w);
    return stats;
  }
  gradient_.resize(w.size());
  const model::LossStats stats = objective_.Gradient(rows, w, gradient_);
  const auto scale = static_cast<float>(1 / batch_rows);
  for (float& value : gradient_) value *= scale;
  update_.Apply(lr, gradient_, w);
  return stats;
}

model::LossStats LocalSgd::RunScaledEpoch(const LearningRate& lr, int64_t first_step,
                                          std::span<const int64_t> batch_order,
                                          std::span<float> w) {
  model::ScaledDescent& descent = *objective_.scaled_descent();
  descent.SetAnchor({});
  ScaledPoint point(w, objective_.penalised());
  model::LossStats stats;
  for (size_t i = 0; i < batch_order.size(); ++i) {
    const model::RowRange rows = BatchRows(objective_.rows(), batch_order[i], options_.batch_size);
    if (rows.size() == 0) continue;
    const double rate = lr.At(first_step + static_cast<int64_t>(i));
    // w ← (1 - ηλ)·w - η·g with g at the old w: v steps as if the scale had shrunk already. The
    // bias does not shrink.
    const double shrink = 1 - rate * options_.regularizer.lambda;
    const auto step = static_cast<float>(rate / static_cast<double>(rows.size()));
    const auto scale = point.scale();
    const float shrunk = scale.penalised * static_cast<float>(shrink);
    stats += descent.DescendScaled(rows, scale, {step / shrunk, step}, point.v());
    point.Shrink(shrink, 1);
  }
  point.Settle();
  return stats;
}

}  // namespace lambdaml::optim
