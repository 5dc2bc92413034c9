// What a data set is like, in a few numbers.
#pragma once

#include <cstdint>
#include <optional>

#include "lambdaml/base/json.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/labels.h"
#include "lambdaml/data/layout.h"

namespace lambdaml::data {

struct Description {
  Layout layout = Layout::kDense;
  int64_t rows = 0;
  int64_t n_features = 0;
  int64_t nonzeros = 0;  // values that are not 0, in both layouts
  double density = 0;    // nonzeros / (rows · n_features)
  float value_min = 0;   // over all cells, those a sparse row leaves out included
  float value_max = 0;
  std::optional<LabelCounts> labels;  // nothing: more than kClassesMax distinct ones
};

Description Describe(const Dataset& dataset);

// An object with the members above; labels as [{"label":…, "rows":…}, …] or null.
base::Json ToJson(const Description& description);

base::Json ToJson(const std::optional<LabelCounts>& labels);

}  // namespace lambdaml::data
