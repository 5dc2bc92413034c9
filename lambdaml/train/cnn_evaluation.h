// A finished network on images: for `evaluate` and `predict`.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lambdaml/data/images.h"
#include "lambdaml/train/cnn_model_file.h"

namespace lambdaml::train {

struct CnnEvaluation {
  int64_t rows = 0;
  double loss = 0;                 // mean cross-entropy
  double accuracy = 0;             // 0..1
  std::vector<int64_t> confusion;  // rows of class i that were taken for class j: i · n_classes + j
};

// The probability of each class for each image: rows x n_classes. `origin` names the model in
// errors: kInvalidData if it does not say how its images were normalised.
std::vector<float> PredictImages(const CnnModel& model, const data::ImageSet& images,
                                 std::string_view origin);

// The most probable class, the first of equal ones.
int64_t ClassOf(const float* probabilities, int64_t n_classes);

// Labels are below the model's n_classes. Errors: as PredictImages.
CnnEvaluation EvaluateImages(const CnnModel& model, const data::ImageSet& images,
                             std::string_view origin);

}  // namespace lambdaml::train
