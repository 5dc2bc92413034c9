// Mini-batch SGD on the rows of one worker: what model averaging runs between its rounds.
//
//   g ← (1/b)·Σ_{r in batch} ∂loss(w; r)/∂w + λw (l2)     v ← μv + g     w ← w - η_t·v
//   w ← soft(w, η_t·λ) (l1)
//
// b is the batch's own number of rows (the last batch may be shorter).
//
// Cost of a step: without momentum, and with l2 or no penalty, a sparse objective's step touches
// only the non-zeros of its rows: w is kept as scale·v, and the penalty changes the scale.
// Otherwise a step costs a gradient and a few passes over the parameters.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/model/objective.h"
#include "lambdaml/optim/regularizer.h"
#include "lambdaml/optim/schedule.h"
#include "lambdaml/optim/sgd_update.h"

namespace lambdaml::optim {

// Rows of mini-batch number `batch`: possibly fewer than batch_size, or none. batch_size 0: all.
model::RowRange BatchRows(int64_t rows, int64_t batch, int64_t batch_size);

struct LocalSgdOptions {
  int64_t batch_size = 0;  // 0: all rows
  double momentum = 0;     // μ, heavy ball as PyTorch defines it
  Regularizer regularizer;
};

class LocalSgd {
 public:
  // `objective` must outlive this.
  LocalSgd(model::Objective& objective, const LocalSgdOptions& options);

  // Goes through the mini-batches in the order given; batches without rows are passed over, but
  // count as steps. η of the i-th is lr.At(first_step + i). Returns loss and accuracy, for each
  // row at the parameters its step saw. The velocity v is kept from epoch to epoch.
  model::LossStats RunEpoch(const LearningRate& lr, int64_t first_step,
                            std::span<const int64_t> batch_order, std::span<float> w);

  void VisitState(wire::State& state) { update_.VisitState(state); }

 private:
  model::LossStats RunScaledEpoch(const LearningRate& lr, int64_t first_step,
                                  std::span<const int64_t> batch_order, std::span<float> w);
  model::LossStats Step(model::RowRange rows, double lr, std::span<float> w);

  model::Objective& objective_;
  LocalSgdOptions options_;
  SgdUpdate update_;
  std::vector<float> gradient_;
};

}  // namespace lambdaml::optim
