#include "lambdaml/train/evaluation.h"

#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/model/linear_model_file.h"
#include "lambdaml/place/place.h"

namespace lambdaml::train {
namespace {

// The class of each row. A model's labels may stand in any order.
std::vector<int32_t> ClassesOf(const model::LinearModel& model, const data::Dataset& dataset) {
  std::vector<int32_t> classes;
  classes.reserve(dataset.labels.size());
  for (const double label : dataset.labels) {
    const auto found = std::find(model.labels.begin(), model.labels.end(), label);
    if (found == model.labels.end()) {
      throw base::Error(base::ErrorCode::kInvalidData,
                        fmt::format("row {} has the label {}, which is none of the model's: {}",
                                    classes.size() + 1, label, fmt::join(model.labels, ", ")));
    }
    classes.push_back(static_cast<int32_t>(found - model.labels.begin()));
  }
  return classes;
}

[[noreturn]] void RefuseWarmStart(const std::string& path, std::string_view why) {
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("--init_model {}: {}", path, why));
}

}  // namespace

int64_t CountUnseenEntries(const model::LinearModel& model, const data::Dataset& dataset) {
  const int64_t known = model.shape.n_features;
  if (dataset.n_features() <= known) return 0;
  if (!dataset.is_dense()) {
    return std::count_if(dataset.sparse().columns.begin(), dataset.sparse().columns.end(),
                         [&](int32_t column) { return column >= known; });
  }
  int64_t count = 0;
  for (int64_t r = 0; r < dataset.rows(); ++r) {
    const float* row = dataset.dense().row(r);
    count += std::count_if(row + known, row + dataset.n_features(),
                           [](float value) { return value != 0; });
  }
  return count;
}

Evaluation EvaluateModel(const model::LinearModel& model, const data::Dataset& dataset) {
  base::ThreadPool pool(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  const std::vector<int32_t> classes = ClassesOf(model, dataset);
  const model::LossStats stats = model::Evaluate(model, dataset, classes, pool);
  const auto rows = static_cast<double>(stats.rows);
  return {.rows = stats.rows,
          .loss = stats.loss_sum / rows,
          .accuracy = static_cast<double>(stats.correct) / rows,
          .ignored_entries = CountUnseenEntries(model, dataset)};
}

model::LinearModel ReadLinearModel(const std::string& place) {
  return model::ParseLinearModel(place::Read(place).text(), place);
}

std::vector<float> WarmStart(const std::string& place, const model::LinearShape& shape,
                             const std::vector<double>& labels) {
  const model::LinearModel model = ReadLinearModel(place);
  if (model.labels != labels) {
    RefuseWarmStart(place, fmt::format("its labels are {}, those of the data {}",
                                       fmt::join(model.labels, ", "), fmt::join(labels, ", ")));
  }
  if (model.shape.n_features > shape.n_features) {
    RefuseWarmStart(place,
                    fmt::format("it has {} features, the data {}; give --n_features {}",
                                model.shape.n_features, shape.n_features, model.shape.n_features));
  }
  if (model.shape.bias && !shape.bias) RefuseWarmStart(place, "it has a bias; give --bias true");
  std::vector<float> parameters(static_cast<size_t>(shape.parameter_count()), 0.0F);
  std::copy_n(model.weights.begin(), model.shape.bias_offset(), parameters.begin());
  if (model.shape.bias) {
    std::copy(model.weights.begin() + model.shape.bias_offset(), model.weights.end(),
              parameters.begin() + shape.bias_offset());
  }
  return parameters;
}

}  // namespace lambdaml::train
