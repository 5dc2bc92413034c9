#include "lambdaml/data/describe.h"

#include <algorithm>
#include <limits>
#include <span>

namespace lambdaml::data {

Description Describe(const Dataset& dataset) {
  Description description;
  description.layout = dataset.is_dense() ? Layout::kDense : Layout::kSparse;
  description.rows = dataset.rows();
  description.n_features = dataset.n_features();
  const std::span<const float> values =
      dataset.is_dense() ? dataset.dense().values : dataset.sparse().values;
  const double cells =
      static_cast<double>(dataset.rows()) * static_cast<double>(dataset.n_features());
  const bool leaves_out_zeros = static_cast<double>(values.size()) < cells;
  float least = leaves_out_zeros ? 0 : std::numeric_limits<float>::max();
  float greatest = leaves_out_zeros ? 0 : std::numeric_limits<float>::lowest();
  int64_t nonzeros = 0;
  for (const float value : values) {
    nonzeros += value != 0 ? 1 : 0;
    least = std::min(least, value);
    greatest = std::max(greatest, value);
  }
  description.nonzeros = nonzeros;
  description.density = static_cast<double>(nonzeros) / cells;
  description.value_min = least;
  description.value_max = greatest;
  description.labels = CountLabels(dataset.labels);
  return description;
}

base::Json ToJson(const std::optional<LabelCounts>& labels) {
  if (!labels.has_value()) return {};
  base::Json list = base::Json::EmptyArray();
  for (const LabelCount& count : *labels) {
    list.Append(base::Json::Object{{"label", count.label}, {"rows", count.rows}});
  }
  return list;
}

base::Json ToJson(const Description& description) {
  return base::Json::Object{{"layout", LayoutName(description.layout)},
                            {"rows", description.rows},
                            {"n_features", description.n_features},
                            {"nonzeros", description.nonzeros},
                            {"density", description.density},
                            {"value_min", static_cast<double>(description.value_min)},
                            {"value_max", static_cast<double>(description.value_max)},
                            {"labels", ToJson(description.labels)}};
}

}  // namespace lambdaml::data
