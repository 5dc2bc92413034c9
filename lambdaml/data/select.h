// Data sets from parts of others: copies of chosen rows, several in one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/data/dataset.h"

namespace lambdaml::data {

// The rows whose numbers are given, in that order.
Dataset TakeRows(const Dataset& dataset, std::span<const int64_t> rows);

// All rows of at least one data set, one after the other; the width is the largest. One sparse part
// makes the whole sparse. A single part is returned as it is, without a copy.
Dataset Concatenate(std::span<const Dataset> parts);

// The data set with other labels, one for each row. Errors: kInvalidData for another number of
// them, which `origin` names.
Dataset WithLabels(Dataset dataset, std::vector<double> labels, std::string_view origin);

}  // namespace lambdaml::data
