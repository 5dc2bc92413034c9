// What the data tests share: data sets from text, plain copies of them to compare, random ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/libsvm_reader.h"

namespace lambdaml::data {

// Everything a Dataset shows, by value; floats as bits, so that -0 differs from 0.
struct Plain {
  bool dense = false;
  int64_t rows = 0;
  int64_t n_features = 0;
  std::vector<int64_t> row_offsets;
  std::vector<int32_t> columns;
  std::vector<uint32_t> values;
  std::vector<double> labels;

  bool operator==(const Plain&) const = default;
};

Plain ToPlain(const Dataset& dataset);

// Reads text under the name "t".
Dataset FromText(std::string_view text, const LibsvmOptions& options = {});

// A data set of up to 40 rows and columns with values of every kind, in the layout given.
Dataset RandomDataset(base::Random& random, bool dense);

// The message of the Error that `action` throws, with its code before it: "InvalidData: …".
// "no error" if it throws none.
template <typename Action>
std::string ErrorOf(Action action) {
  try {
    action();
  } catch (const base::Error& error) {
    return std::string(base::ErrorCodeName(error.code())) + ": " + error.message();
  }
  return "no error";
}

}  // namespace lambdaml::data
