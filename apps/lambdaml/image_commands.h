// predict and evaluate for networks: images as CIFAR records, or as PNG and JPEG files.
#pragma once

#include <string>

#include "lambdaml/base/json.h"
#include "lambdaml/train/cnn_model_file.h"

#include "apps/lambdaml/command_line.h"

namespace lambdaml::cli {

// One line per image: its class, with --probabilities followed by the probability of each class,
// which the first line names.
std::string PredictClasses(const train::CnnModel& model, const PredictArguments& arguments);

// rows, loss, accuracy, and "confusion": for each class the counts of what it was taken for.
base::Json EvaluateClasses(const train::CnnModel& model, const EvaluateArguments& arguments);

// The confusion matrix for people, a row for each true class.
std::string FormatConfusion(const base::Json& confusion);

}  // namespace lambdaml::cli
