// Softmax cross-entropy over rows of logits.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/nn/network.h"

namespace lambdaml::nn {

// Turns rows x n_classes logits into probabilities, in place:
//
//   p_k = exp(z_k − max z) / Σ_i exp(z_i − max z)      loss = −log p_label
//
// and sums loss and right answers over the rows; without labels it sums nothing but the rows.
BatchStats Softmax(int64_t n_classes, std::span<float> logits, std::span<const int32_t> labels);

// Turns probabilities into the gradient of the mean loss by the logits, in place:
//   g_k = (p_k − [k = label]) / rows
void CrossEntropyGradient(int64_t n_classes, std::span<const int32_t> labels,
                          std::span<float> probabilities);

}  // namespace lambdaml::nn
