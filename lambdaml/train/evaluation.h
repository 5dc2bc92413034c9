// A finished model on a data set: for `evaluate`, `predict` and the end of a run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/linear_model.h"

namespace lambdaml::train {

struct Evaluation {
  int64_t rows = 0;
  double loss = 0;      // mean, without any penalty
  double accuracy = 0;  // 0..1
  // Entries whose feature the model has never seen; they have no weight and are left out.
  int64_t ignored_entries = 0;
};

// The model at a place. Errors: those of place::Read and model::ParseLinearModel.
model::LinearModel ReadLinearModel(const std::string& place);

// Errors: kInvalidData if a row's label is none of the model's, naming both.
Evaluation EvaluateModel(const model::LinearModel& model, const data::Dataset& dataset);

// Entries of the data whose feature the model does not have.
int64_t CountUnseenEntries(const model::LinearModel& model, const data::Dataset& dataset);

// The parameters of a model at a place as the start of a run with `shape` and `labels`: features
// that the model lacks start at zero. Errors: kInvalidArgument if it has more features, other
// labels, or a bias that the run does not have; those of loading.
std::vector<float> WarmStart(const std::string& place, const model::LinearShape& shape,
                             const std::vector<double>& labels);

}  // namespace lambdaml::train
