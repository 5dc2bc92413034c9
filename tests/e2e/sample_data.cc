#include "e2e/sample_data.h"

#include <cmath>
#include <fmt/format.h>
#include <vector>

#include "lambdaml/base/random.h"

namespace lambdaml::test {

std::string SeparableSample(const SampleOptions& options) {
  constexpr double kMargin = 0.4;
  base::Random plane(options.plane_seed);
  std::vector<double> normal;
  for (int j = 0; j < options.n_features; ++j) normal.push_back(plane.Uniform() < 0.5 ? -1 : 1);
  base::Random random(options.seed);
  std::string text;
  for (int rows = 0; rows < options.rows;) {
    double score = 0.2;  // so that a bias is worth having
    std::string features;
    for (int j = 0; j < options.n_features; ++j) {
      if (random.Uniform() >= options.density) continue;
      const double value = std::round((2 * random.Uniform() - 1) * 1000) / 1000;
      score += normal[static_cast<size_t>(j)] * value;
      features += fmt::format(" {}:{}", j + 1, value);
    }
    if (std::abs(score) < kMargin) continue;
    text += (score > 0 ? options.positive : options.negative) + features + '\n';
    ++rows;
  }
  return text;
}

}  // namespace lambdaml::test
