// A small artificial set of images: for tests, examples and trials without CIFAR-10.
#pragma once

#include <cstdint>

#include "lambdaml/data/images.h"

namespace lambdaml::data {

struct GenerateImagesOptions {
  int64_t rows = 1000;
  int64_t n_classes = kCifarClasses;  // 2..kImageClassesMax
  uint64_t seed = 1;
};

// Each class has waves of its own direction, length and colours, drawn from the seed; an image
// shows them shifted at random, brighter or darker, under noise. Mean colours of the classes are
// alike, so that a network must look at patterns. Row i depends on (n_classes, seed, i) alone: the
// first rows of a larger set are a smaller one. Errors: kInvalidArgument.
ImageSet GenerateImages(const GenerateImagesOptions& options);

}  // namespace lambdaml::data
