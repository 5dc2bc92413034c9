// A trained linear model, and what it says of rows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/linear_shape.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model {

struct LinearModel {
  LinearLoss loss = LinearLoss::kLogistic;
  // Logistic loss, more than two classes: one binary model per class instead of a softmax, as
  // LIBLINEAR trains them. Then p_k = σ(s_k) / Σ_i σ(s_i), and the loss is -log p_y.
  bool one_vs_rest = false;
  LinearShape shape = {};
  std::vector<double> labels = {};  // of each class; n_classes different numbers
  std::vector<float> weights = {};  // parameter_count(), laid out as in linear_shape.h
  // Remarks that travel with the model: keys of [a-z0-9_], values of one line.
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

struct Predictions {
  std::vector<int32_t> classes;  // one per row, by the rule of linear_shape.h
  // rows * n_classes, row-major; empty for the hinge loss, which has none.
  std::vector<float> probabilities;
  // Non-zero entries whose feature is beyond the model's: they have no weight and were left out.
  int64_t ignored_entries = 0;
};

// Scores are summed in double. Unlike an objective, data may have more features than the model.
Predictions Predict(const LinearModel& model, const data::Dataset& dataset, base::ThreadPool& pool);

// Loss and accuracy against the rows' classes; entries beyond the model's features are left out as
// in Predict. Errors: kInvalidArgument when classes do not fit rows and model.
LossStats Evaluate(const LinearModel& model, const data::Dataset& dataset,
                   std::span<const int32_t> classes, base::ThreadPool& pool);

}  // namespace lambdaml::model
