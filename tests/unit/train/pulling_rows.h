// An objective whose gradient does not depend on w: each row pulls by 1. So whoever steps when, the
// finished model is the sum of all changes, which float32 holds exactly.
#pragma once

#include <algorithm>
#include <vector>

#include "lambdaml/model/objective.h"

namespace lambdaml::train {

class PullingRows final : public model::Objective {
 public:
  PullingRows(int64_t rows, size_t parameters) : rows_(rows), penalised_(parameters, 1.0F) {}

  int64_t rows() const override { return rows_; }
  int64_t parameter_count() const override { return static_cast<int64_t>(penalised_.size()); }
  std::span<const float> penalised() const override { return penalised_; }
  model::LossStats Gradient(model::RowRange rows, std::span<const float>,
                            std::span<float> gradient) override {
    std::fill(gradient.begin(), gradient.end(), -static_cast<float>(rows.size()));
    return {0, 0, rows.size()};
  }
  model::LossStats Evaluate(model::RowRange rows, std::span<const float>) override {
    return {0, 0, rows.size()};
  }
  double CurvatureBound(model::RowRange) override { return 1; }
  model::LossStats Descend(model::RowRange rows, float step, std::span<float> w) override {
    for (float& value : w) value += step * static_cast<float>(rows.size());
    return {0, 0, rows.size()};
  }

 private:
  int64_t rows_;
  std::vector<float> penalised_;
};

}  // namespace lambdaml::train
