// Writes libsvm text that ReadLibsvm reads back to the same data set, bit for bit.
#pragma once

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/npz.h"

namespace lambdaml::data {

// Numbers in the shortest form that reads back the same, indices from 1. A dense row is written
// with all its columns, a sparse one with its stored ones. When no row has the last column,
// keep_width gives the first row an explicit zero there: so width and layout survive.
void EncodeLibsvm(const Dataset& dataset, const ByteSink& sink, bool keep_width = true);

}  // namespace lambdaml::data
