// Linear models the slow way, in double, straight from the formulas of linear_shape.h; and made-up
// data in both layouts.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/base/random.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/linear_shape.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model::testing {

// A dense table together with its sparse form (zeros left out).
struct MadeData {
  data::Dataset dense;
  data::Dataset sparse;
  std::vector<int32_t> classes;
};

inline MadeData MakeData(int64_t rows, int64_t n_features, int n_classes, uint64_t seed,
                         double density = 0.6) {
  struct Storage {
    std::vector<float> table;
    std::vector<int64_t> row_offsets{0};
    std::vector<int32_t> columns;
    std::vector<float> values;
    std::vector<double> labels;
  };
  auto storage = std::make_shared<Storage>();
  base::Random random(seed);
  MadeData made;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < n_features; ++j) {
      const float value = random.Uniform() < density ? static_cast<float>(random.Normal()) : 0.0F;
      storage->table.push_back(value);
      if (value == 0) continue;
      storage->columns.push_back(static_cast<int32_t>(j));
      storage->values.push_back(value);
    }
    storage->row_offsets.push_back(static_cast<int64_t>(storage->columns.size()));
    made.classes.push_back(static_cast<int32_t>(random.Below(static_cast<uint64_t>(n_classes))));
    storage->labels.push_back(made.classes.back());
  }
  made.dense = {data::DenseRows{rows, n_features, storage->table}, storage->labels, storage};
  made.sparse = {
      data::SparseRows{rows, n_features, storage->row_offsets, storage->columns, storage->values},
      storage->labels, storage};
  return made;
}

inline std::vector<float> MakeParameters(int64_t count, uint64_t seed, double scale = 0.5) {
  base::Random random(seed);
  std::vector<float> w(static_cast<size_t>(count));
  for (float& value : w) value = static_cast<float>(scale * random.Normal());
  return w;
}

// Value, gradient and, for each, Σ of the absolute values of what was added: the scale of bounds.
struct ReferenceResult {
  double loss_sum = 0;
  int64_t correct = 0;
  std::vector<double> gradient;
  std::vector<double> gradient_scale;
  double score_scale = 0;  // the largest Σ_j |x_j·w_j| + |b| of a row
};

// Loss of one row's scores; sets the residuals.
inline double ReferenceLoss(LinearLoss loss, int n_classes, int y,
                            const std::vector<double>& scores, std::vector<double>& residuals,
                            bool* correct) {
  const auto softplus = [](double m) {
    return std::max(m, 0.0) + std::log1p(std::exp(-std::abs(m)));
  };
  const auto n_outputs = scores.size();
  residuals.assign(n_outputs, 0.0);
  if (n_classes == 2) {
    const double t = y == 1 ? 1.0 : -1.0;
    *correct = (scores[0] > 0) == (y == 1);
    if (loss == LinearLoss::kHinge) {
      residuals[0] = t * scores[0] < 1 ? -t : 0.0;
      return std::max(0.0, 1 - t * scores[0]);
    }
    residuals[0] = -t * std::exp(-softplus(t * scores[0]));
    return softplus(-t * scores[0]);
  }
  *correct = std::max_element(scores.begin(), scores.end()) - scores.begin() == y;
  double result = 0;
  if (loss == LinearLoss::kHinge) {
    for (size_t k = 0; k < n_outputs; ++k) {
      const double t = static_cast<int>(k) == y ? 1.0 : -1.0;
      result += std::max(0.0, 1 - t * scores[k]);
      residuals[k] = t * scores[k] < 1 ? -t : 0.0;
    }
    return result;
  }
  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (const double s : scores) total += std::exp(s - largest);
  for (size_t k = 0; k < n_outputs; ++k) {
    residuals[k] = std::exp(scores[k] - largest) / total - (static_cast<int>(k) == y ? 1 : 0);
  }
  return std::log(total) + largest - scores[static_cast<size_t>(y)];
}

// Works on dense data; w in double so that finite differences can use it.
inline ReferenceResult Reference(const MadeData& data, RowRange rows, const LinearShape& shape,
                                 LinearLoss loss, std::span<const double> w) {
  const data::DenseRows& x = data.dense.dense();
  const auto n_outputs = static_cast<size_t>(shape.n_outputs());
  ReferenceResult result;
  result.gradient.assign(w.size(), 0.0);
  result.gradient_scale.assign(w.size(), 0.0);
  std::vector<double> residuals;
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    std::vector<double> features(x.row(r), x.row(r) + x.n_features);
    features.resize(static_cast<size_t>(shape.n_features));
    if (shape.bias) features.push_back(1.0);
    std::vector<double> scores(n_outputs);
    for (size_t k = 0; k < n_outputs; ++k) {
      double scale = 0;
      for (size_t j = 0; j < features.size(); ++j) {
        scores[k] += features[j] * w[j * n_outputs + k];
        scale += std::abs(features[j] * w[j * n_outputs + k]);
      }
      result.score_scale = std::max(result.score_scale, scale);
    }
    bool correct = false;
    result.loss_sum += ReferenceLoss(loss, shape.n_classes, data.classes[static_cast<size_t>(r)],
                                     scores, residuals, &correct);
    result.correct += correct ? 1 : 0;
    for (size_t j = 0; j < features.size(); ++j) {
      for (size_t k = 0; k < n_outputs; ++k) {
        result.gradient[j * n_outputs + k] += residuals[k] * features[j];
        // A residual is at most 1 off; its own rounding is relative to 1.
        result.gradient_scale[j * n_outputs + k] += std::abs(features[j]);
      }
    }
  }
  return result;
}

inline ReferenceResult Reference(const MadeData& data, RowRange rows, const LinearShape& shape,
                                 LinearLoss loss, std::span<const float> w) {
  return Reference(data, rows, shape, loss, std::vector<double>(w.begin(), w.end()));
}

}  // namespace lambdaml::model::testing
