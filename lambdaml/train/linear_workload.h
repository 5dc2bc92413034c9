// Logistic regression and support vector machines as a workload: rows with classes, trained by one
// of the algorithms of algorithm.h, saved in LIBLINEAR's format.
#pragma once

#include "lambdaml/train/workload.h"

namespace lambdaml::train {

extern const Workload kLinearWorkload;

}  // namespace lambdaml::train
