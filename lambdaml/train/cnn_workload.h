// Convolutional networks as a workload: images with classes, trained by gradient or model averaging
// (cnn_algorithm.h), saved as safetensors (cnn_model_file.h).
#pragma once

#include "lambdaml/train/workload.h"

namespace lambdaml::train {

extern const Workload kCnnWorkload;

}  // namespace lambdaml::train
