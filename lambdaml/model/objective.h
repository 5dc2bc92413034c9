// A differentiable (or subdifferentiable) training objective over the rows a worker holds: what the
// optimisation algorithms know of a model.
//
//   f(w) = Σ_r loss(w; row r)     (sums, never means: means of unequal shards would be biased)
//
// Regularisation is the algorithm's business, not the objective's. Parameters are one flat span of
// float32 whose meaning is the model's own.
#pragma once

#include <cstdint>
#include <span>

namespace lambdaml::model {

// Rows [begin, end) of the worker's data.
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
};

struct LossStats {
  double loss_sum = 0;  // Σ loss over the rows
  int64_t correct = 0;  // rows whose predicted class is the labelled one
  int64_t rows = 0;

  LossStats& operator+=(const LossStats& other) {
    loss_sum += other.loss_sum;
    correct += other.correct;
    rows += other.rows;
    return *this;
  }
};

// Optional: descent at a point w that is kept as
//
//   w_i = anchor_i + scale_i · v_i      scale_i: one number for the penalised parameters, one for
//                                       the others
//
// so that an algorithm can shrink all of w (weight decay, a proximal term) by changing one number,
// where a sparse objective's step touches only the non-zeros of its rows. anchor is fixed for many
// steps; what an objective needs of it is computed once.
class ScaledDescent {
 public:
  // One number for the penalised parameters and one for the others.
  struct Factors {
    float penalised = 1;
    float others = 1;
  };

  virtual ~ScaledDescent() = default;

  // Sets the anchor; empty: all zeros. Costs one pass over the data unless empty.
  virtual void SetAnchor(std::span<const float> anchor) = 0;

  // v_i -= step_i · Σ_r ∂loss(w; r)/∂w_i over `rows`. For a step of η in w, step_i is η / scale_i.
  virtual LossStats DescendScaled(RowRange rows, Factors scale, Factors step,
                                  std::span<float> v) = 0;
};

// Threads: one caller; an objective may use a thread pool inside, and its results do not depend on
// how many threads that has.
class Objective {
 public:
  virtual ~Objective() = default;

  virtual int64_t rows() const = 0;
  virtual int64_t parameter_count() const = 0;

  // Which parameters a regulariser must leave alone: `penalised` is 1 or 0 for each.
  virtual std::span<const float> penalised() const = 0;

  // Sets gradient[i] = Σ_r ∂loss(w; r)/∂w_i over `rows`, and returns loss and accuracy at w.
  virtual LossStats Gradient(RowRange rows, std::span<const float> w,
                             std::span<float> gradient) = 0;

  // Loss and accuracy at w, without the gradient.
  virtual LossStats Evaluate(RowRange rows, std::span<const float> w) = 0;

  // Σ_r L_r over `rows`, where L_r bounds the curvature of row r's loss along any direction:
  // ‖x_r‖²/4 for the logistic loss (bias counted as a feature of 1), ‖x_r‖²/2 for softmax. The
  // hinge loss has no such bound; ‖x_r‖² stands in as its natural scale. Learning rates and
  // penalties that nobody gave are derived from it.
  virtual double CurvatureBound(RowRange rows) = 0;

  // w -= step · Σ_r ∂loss(w; r)/∂w, in place. A sparse model touches only the non-zeros of the
  // rows.
  virtual LossStats Descend(RowRange rows, float step, std::span<float> w) = 0;

  // Scaled descent where it saves work, else nullptr (Descend costs as much as the whole vector
  // anyway). Owned by the objective.
  virtual ScaledDescent* scaled_descent() { return nullptr; }
};

}  // namespace lambdaml::model
