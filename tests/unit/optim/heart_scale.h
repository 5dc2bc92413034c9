// heart_scale (Statlog, UCI), as Debian's liblinear-tools carries it among its examples: a small
// real problem whose minima are known to many digits.
#pragma once

#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::optim::testing {

struct HeartScale {
  data::Dataset dense;
  data::Dataset sparse;
  std::vector<int32_t> classes;
};

// Nothing where the file is not installed.
inline std::optional<HeartScale> ReadHeartScale() {
  std::ifstream in("/usr/share/doc/liblinear-tools/examples/heart_scale");
  if (!in) return std::nullopt;
  constexpr int64_t kFeatures = 13;
  struct Storage {
    std::vector<float> table;
    std::vector<int64_t> row_offsets{0};
    std::vector<int32_t> columns;
    std::vector<float> values;
    std::vector<double> labels;
  };
  auto storage = std::make_shared<Storage>();
  HeartScale set;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    double label = 0;
    words >> label;
    storage->labels.push_back(label);
    set.classes.push_back(label > 0 ? 1 : 0);
    storage->table.resize(storage->table.size() + kFeatures);
    float* row = storage->table.data() + storage->table.size() - kFeatures;
    int32_t index = 0;
    char colon = 0;
    for (float value = 0; words >> index >> colon >> value;) {
      row[index - 1] = value;
      storage->columns.push_back(index - 1);
      storage->values.push_back(value);
    }
    storage->row_offsets.push_back(static_cast<int64_t>(storage->columns.size()));
  }
  const auto rows = static_cast<int64_t>(set.classes.size());
  set.dense = {data::DenseRows{rows, kFeatures, storage->table}, storage->labels, storage};
  set.sparse = {
      data::SparseRows{rows, kFeatures, storage->row_offsets, storage->columns, storage->values},
      storage->labels, storage};
  return set;
}

}  // namespace lambdaml::optim::testing

// Skips the test, saying why, where the file is not installed.
#define LAMBDAML_NEED_HEART_SCALE(set)                           \
  const auto set = ::lambdaml::optim::testing::ReadHeartScale(); \
  if (!set) GTEST_SKIP() << "heart_scale is not installed (Debian: liblinear-tools)"
