// Linear models as training objectives over dense or sparse rows; losses, parameters and predicted
// classes as in linear_shape.h.
//
//   ∂loss/∂w[j * n_outputs + k] = Σ_r residual_k(r) · x_rj,   residual_k = ∂loss/∂s_k
//
// Cost of a gradient or an evaluation: the rows are streamed from memory once.
//
// Exactness. A range of rows is cut into blocks by its length, its number of non-zeros and the
// model's shape only; threads take blocks; blocks are added in order. So all results are the same
// bits for any number of threads. Residuals are float32. Dense: within a tile of at most 128 rows
// the gradient is summed in float32 (fused), across tiles and blocks in double. Sparse: gradients
// are summed in double throughout; Descend adds to w in float32, in the order of the rows. With
// u = 2^-24 and n the number of features (non-zeros of a row) that enter a score:
//
//   |score error|    <= (n/8 + 5)·u · Σ_j |x_j·w_j|     (dense;  sparse: (n + 4)·u)
//   |residual error| <= |score error| + 8·u             (logistic)
//   |gradient error| <= 130·u · Σ_r |residual_r·x_rj|   (dense;  sparse: 2·u), given the residuals
//
// Nothing is allocated per step: workspaces grow to the largest range seen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/base/parallel.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/model/dense_kernels.h"
#include "lambdaml/model/linear_shape.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/model/tile.h"

namespace lambdaml::model {

class LinearObjective final : public Objective, private ScaledDescent {
 public:
  // classes: for each row its class in [0, n_classes); copied. The data may have fewer features
  // than the shape (a shard of a sparse set), whose gradient is then 0, but not more. `pool` must
  // outlive the objective. Errors: kInvalidArgument when data, classes and shape do not fit.
  LinearObjective(data::Dataset dataset, std::span<const int32_t> classes, LinearShape shape,
                  LinearLoss loss, base::ThreadPool& pool);

  int64_t rows() const override { return dataset_.rows(); }
  int64_t parameter_count() const override { return shape_.parameter_count(); }
  std::span<const float> penalised() const override { return penalised_; }

  LossStats Gradient(RowRange rows, std::span<const float> w, std::span<float> gradient) override;
  LossStats Evaluate(RowRange rows, std::span<const float> w) override;
  double CurvatureBound(RowRange rows) override;
  LossStats Descend(RowRange rows, float step, std::span<float> w) override;
  ScaledDescent* scaled_descent() override { return dataset_.is_dense() ? nullptr : this; }

  const data::Dataset& dataset() const { return dataset_; }
  std::span<const int32_t> classes() const { return classes_; }
  const LinearShape& shape() const { return shape_; }
  LinearLoss loss() const { return loss_; }

 private:
  // A range cut into equal blocks (the last may be shorter).
  struct Blocks {
    RowRange rows;
    int64_t block_rows = 1;
    size_t count = 0;

    RowRange operator[](size_t block) const;
  };

  void SetAnchor(std::span<const float> anchor) override;
  LossStats DescendScaled(RowRange rows, Factors scale, Factors step, std::span<float> v) override;
  LossStats DescendSparse(RowRange rows, Factors scale, Factors step, std::span<float> v,
                          std::span<const float> anchor_scores);

  void CheckRange(RowRange rows, size_t parameters) const;
  // Cuts a range into at most count_max blocks and makes their workspaces large enough.
  Blocks Cut(RowRange rows, int64_t count_max);
  // The number of blocks of a gradient, for each of which there is a copy of all sums.
  int64_t GradientBlocksMax(RowRange rows) const;

  template <typename Use>
  void ForEachTile(RowRange block, const Use& use) const;
  // Sums use(block, tile) -> LossStats over all tiles of all blocks.
  template <typename Use>
  LossStats ForEachBlock(const Blocks& blocks, const Use& use);

  // Points the kernels at the parameters w, which must stay as long as they are used.
  void SetParameters(std::span<const float> w, Factors scale = {});
  DenseTile DenseTileOf(RowRange tile) const;
  void ScoresOfTile(RowRange tile, float* scores) const;
  // Turns a tile's scores into residuals.
  LossStats ResidualsOfScores(RowRange tile, float* scores) const;
  void AccumulateTile(RowRange tile, const float* residuals, double* sums) const;
  // The sum over the blocks, in order, of their partial sum `at`; leaves zeros.
  double TakePartial(size_t block_count, size_t at);
  void MergeDense(size_t block_count, std::span<float> gradient);
  void MergeSparse(size_t block_count, std::span<float> gradient);

  data::Dataset dataset_;
  std::vector<int32_t> classes_;
  LinearShape shape_;
  LinearLoss loss_;
  base::ThreadPool& pool_;
  std::vector<float> penalised_;
  int64_t tile_rows_ = kTileRows;
  size_t tile_size_ = 0;      // scores of a tile: n_outputs planes of kTileRows
  size_t partials_size_ = 0;  // sums of a block
  int64_t plane_stride_ = 0;  // dense only

  // The parameters as the kernels want them; set by SetParameters.
  const float* weights_ = nullptr;  // sparse: in the model's layout
  float weight_scale_ = 1;
  std::vector<float> planes_;  // dense: plane_stride_ numbers per output
  std::vector<float> bias_;    // per output; 0 without a bias

  // Workspaces.
  std::vector<float> block_scores_;  // tile_size_ for each block
  std::vector<LossStats> block_stats_;
  // partials_size_ for each block, all zero between calls. Dense: n_outputs planes, then n_outputs
  // bias sums; sparse: one sum per parameter.
  std::vector<double> partials_;
  std::vector<float> residuals_;      // sparse descent: tile_size_ for each tile of the range
  std::vector<double> bias_sums_;     // sparse descent: per output
  std::vector<float> step_gradient_;  // dense descent
  std::vector<float> anchor_scores_;  // rows * n_outputs; empty for a zero anchor
};

}  // namespace lambdaml::model
