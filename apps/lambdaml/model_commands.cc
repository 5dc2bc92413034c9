// predict and evaluate: a finished model on a data set.
#include <algorithm>
#include <fmt/format.h>
#include <thread>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/units.h"
#include "lambdaml/data/safetensors.h"
#include "lambdaml/model/kmeans_model_file.h"
#include "lambdaml/model/linear_model_file.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/cnn_model_file.h"
#include "lambdaml/train/evaluation.h"
#include "lambdaml/train/kmeans_evaluation.h"

#include "apps/lambdaml/commands.h"
#include "apps/lambdaml/image_commands.h"

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

std::string PredictLabels(const model::LinearModel& model, const PredictArguments& arguments) {
  if (arguments.probabilities && model.loss == model::LinearLoss::kHinge) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--probabilities: a support vector machine has none");
  }
  const data::Dataset dataset = Load(arguments.data, arguments.index_base);
  base::ThreadPool pool(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  const model::Predictions predictions = model::Predict(model, dataset, pool);
  WarnOfUnseen(model, predictions.ignored_entries);
  return FormatPredictions(model, predictions, arguments.probabilities);
}

// One line per row: the cluster, from 0, and the distance to its centroid.
std::string PredictClusters(const model::Centroids& centroids, const PredictArguments& arguments) {
  if (arguments.probabilities) {
    throw base::Error(base::ErrorCode::kInvalidArgument, "--probabilities: centroids have none");
  }
  const train::Clustering clustering =
      train::ClusterRows(centroids, Load(arguments.data, arguments.index_base), arguments.data);
  std::string text;
  for (size_t r = 0; r < clustering.clusters.size(); ++r) {
    text += fmt::format("{} {}\n", clustering.clusters[r], clustering.distances[r]);
  }
  return text;
}

base::Json EvaluateLabels(const model::LinearModel& model, const EvaluateArguments& arguments) {
  const train::Evaluation evaluation =
      train::EvaluateModel(model, Load(arguments.data, arguments.index_base));
  WarnOfUnseen(model, evaluation.ignored_entries);
  base::Json json = base::Json::EmptyObject();
  json.Set("rows", evaluation.rows);
  json.Set("loss", evaluation.loss);
  json.Set("accuracy", evaluation.accuracy);
  json.Set("ignored_entries", evaluation.ignored_entries);
  return json;
}

base::Json EvaluateClusters(const model::Centroids& centroids, const EvaluateArguments& arguments) {
  const train::Clustering clustering =
      train::ClusterRows(centroids, Load(arguments.data, arguments.index_base), arguments.data);
  base::Json json = base::Json::EmptyObject();
  json.Set("rows", static_cast<int64_t>(clustering.clusters.size()));
  json.Set("inertia", clustering.inertia);
  json.Set("n_clusters", centroids.k);
  base::Json sizes = base::Json::EmptyArray();
  for (const int64_t size : clustering.cluster_sizes) sizes.Append(size);
  json.Set("cluster_sizes", std::move(sizes));
  return json;
}

// As text for people: what matters most.
std::string FormatEvaluation(const base::Json& evaluation) {
  std::string text =
      fmt::format("rows      {}\n",
                  base::FormatCount(static_cast<uint64_t>(evaluation.At("rows").AsInteger())));
  if (const base::Json* inertia = evaluation.Find("inertia")) {
    return text + fmt::format("inertia   {}\nclusters  {}\n", inertia->AsNumber(),
                              evaluation.At("n_clusters").AsInteger());
  }
  text += fmt::format("loss      {:.6f}\naccuracy  {:.4f}\n", evaluation.At("loss").AsNumber(),
                      evaluation.At("accuracy").AsNumber());
  if (const base::Json* confusion = evaluation.Find("confusion"))
    text += FormatConfusion(*confusion);
  return text;
}

}  // namespace

// What kind of model a file holds its content says.
void Run(const PredictArguments& arguments) {
  const base::Blob model = place::Read(arguments.model);
  const auto predict = [&] {
    if (data::LooksLikeSafetensors(model.span())) {
      return PredictClasses(train::ParseCnnModel(model, arguments.model), arguments);
    }
    if (model::LooksLikeCentroids(model.span())) {
      return PredictClusters(model::ParseCentroids(model.span(), arguments.model), arguments);
    }
    return PredictLabels(model::ParseLinearModel(model.text(), arguments.model), arguments);
  };
  place::Write(arguments.output, base::AsBytes(predict()));
}

void Run(const EvaluateArguments& arguments) {
  const base::Blob model = place::Read(arguments.model);
  const auto evaluate = [&] {
    if (data::LooksLikeSafetensors(model.span())) {
      return EvaluateClasses(train::ParseCnnModel(model, arguments.model), arguments);
    }
    if (model::LooksLikeCentroids(model.span())) {
      return EvaluateClusters(model::ParseCentroids(model.span(), arguments.model), arguments);
    }
    return EvaluateLabels(model::ParseLinearModel(model.text(), arguments.model), arguments);
  };
  const base::Json evaluation = evaluate();
  WriteOutput(arguments.json ? evaluation.Dump() + "\n" : FormatEvaluation(evaluation));
}

}  // namespace lambdaml::cli
