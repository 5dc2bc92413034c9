// The shape of a linear model and the losses it is trained with.
//
//   scores of a row x:  s_k = Σ_j w[j * n_outputs + k] · x_j  +  w[n_features * n_outputs + k]
//
// The second term, the bias, is there if `bias` is set; it is the last row of the parameters and
// is never penalised. The layout, feature-major, is the order of LIBLINEAR's model file.
//
// Two classes need one score: s = w·x + b speaks for class 1, and class 0 has the score 0. More
// classes have one score each.
//
// The predicted class: two classes: 1 if s > 0, else 0. More: the largest score's, the lowest
// class of several with that score.
#pragma once

#include <cstdint>

namespace lambdaml::model {

enum class LinearLoss {
  // Softmax cross-entropy, log Σ_k exp(s_k) - s_y. For two classes with the scores (0, s) that is
  // the logistic loss log(1 + exp(-t·s)), t = +1 for class 1 and -1 for class 0.
  kLogistic,
  // max(0, 1 - t·s). For more than two classes the sum over k of such losses, "class k against
  // the rest": Σ_k max(0, 1 - t_k·s_k), t_k = +1 for k = y, else -1.
  kHinge,
};

struct LinearShape {
  int64_t n_features = 0;
  int n_classes = 2;
  bool bias = true;

  int n_outputs() const { return n_classes == 2 ? 1 : n_classes; }
  int64_t parameter_count() const { return (n_features + (bias ? 1 : 0)) * n_outputs(); }
  // Index of the first bias parameter, one per output; parameter_count() if there is no bias.
  int64_t bias_offset() const { return n_features * n_outputs(); }

  bool operator==(const LinearShape&) const = default;
};

}  // namespace lambdaml::model
