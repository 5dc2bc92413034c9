#include "lambdaml/nn/loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace lambdaml::nn {

BatchStats Softmax(int64_t n_classes, std::span<float> logits, std::span<const int32_t> labels) {
  const auto width = static_cast<size_t>(n_classes);
  BatchStats stats;
  stats.rows = static_cast<int64_t>(logits.size() / width);
  for (size_t r = 0; r * width < logits.size(); ++r) {
    const std::span<float> z = logits.subspan(r * width, width);
    const auto largest = std::ranges::max_element(z);
    const float top = *largest;
    if (!labels.empty()) {
      const auto label = static_cast<size_t>(labels[r]);
      stats.loss_sum -= static_cast<double>(z[label]) - static_cast<double>(top);
      if (static_cast<size_t>(largest - z.begin()) == label) ++stats.correct;
    }
    double sum = 0;
    for (float& value : z) {
      value = std::exp(value - top);
      sum += static_cast<double>(value);
    }
    if (!labels.empty()) stats.loss_sum += std::log(sum);
    const auto scale = static_cast<float>(1 / sum);
    for (float& value : z) value *= scale;
  }
  return stats;
}

void CrossEntropyGradient(int64_t n_classes, std::span<const int32_t> labels,
                          std::span<float> probabilities) {
  const auto width = static_cast<size_t>(n_classes);
  const float scale = 1 / static_cast<float>(labels.size());
  for (size_t r = 0; r < labels.size(); ++r) {
    const std::span<float> p = probabilities.subspan(r * width, width);
    p[static_cast<size_t>(labels[r])] -= 1;
    for (float& value : p) value *= scale;
  }
}

}  // namespace lambdaml::nn
