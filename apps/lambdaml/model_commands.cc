// predict and evaluate: a finished model on a data set.
#include <algorithm>
#include <fmt/format.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/units.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/evaluation.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

data::Dataset Load(const std::string& path, int index_base) {
  return place::LoadData(path, {.index_base = index_base});
}

void WarnOfUnseen(const model::LinearModel& model, int64_t entries) {
  if (entries == 0) return;
  base::Log(base::LogLevel::kWarning,
            fmt::format("{} entries have features above the model's {}; they have no weight and "
                        "were left out",
                        base::FormatCount(static_cast<uint64_t>(entries)), model.shape.n_features));
}

// One line per row: the label, then the probability of each class if asked for. With probabilities
// the first line names their classes, as liblinear-predict -b 1 writes it.
std::string FormatPredictions(const model::LinearModel& model,
                              const model::Predictions& predictions, bool with_probabilities) {
  std::string text;
  if (with_probabilities) {
    text += "labels";
    for (const double label : model.labels) text += fmt::format(" {}", label);
    text += '\n';
  }
  const auto n_classes = static_cast<size_t>(model.shape.n_classes);
  for (size_t r = 0; r < predictions.classes.size(); ++r) {
    text += fmt::format("{}", model.labels[static_cast<size_t>(predictions.classes[r])]);
    for (size_t k = 0; with_probabilities && k < n_classes; ++k) {
      text += fmt::format(" {}", predictions.probabilities[r * n_classes + k]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

void Run(const PredictArguments& arguments) {
  const model::LinearModel model = train::ReadLinearModel(arguments.model);
  if (arguments.probabilities && model.loss == model::LinearLoss::kHinge) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--probabilities: a support vector machine has none");
  }
  const data::Dataset dataset = Load(arguments.data, arguments.index_base);
  base::ThreadPool pool(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  const model::Predictions predictions = model::Predict(model, dataset, pool);
  WarnOfUnseen(model, predictions.ignored_entries);
  place::Write(arguments.output,
               base::AsBytes(FormatPredictions(model, predictions, arguments.probabilities)));
}

void Run(const EvaluateArguments& arguments) {
  const model::LinearModel model = train::ReadLinearModel(arguments.model);
  const train::Evaluation evaluation =
      train::EvaluateModel(model, Load(arguments.data, arguments.index_base));
  WarnOfUnseen(model, evaluation.ignored_entries);
  if (!arguments.json) {
    WriteOutput(fmt::format("rows      {}\nloss      {:.6f}\naccuracy  {:.4f}\n",
                            base::FormatCount(static_cast<uint64_t>(evaluation.rows)),
                            evaluation.loss, evaluation.accuracy));
    return;
  }
  base::Json json = base::Json::EmptyObject();
  json.Set("rows", evaluation.rows);
  json.Set("loss", evaluation.loss);
  json.Set("accuracy", evaluation.accuracy);
  json.Set("ignored_entries", evaluation.ignored_entries);
  WriteOutput(json.Dump() + "\n");
}

}  // namespace lambdaml::cli
