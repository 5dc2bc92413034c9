#include "lambdaml/model/linear_objective.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/model/linear_loss.h"
#include "lambdaml/model/simd.h"
#include "lambdaml/model/sparse_kernels.h"

namespace lambdaml::model {
namespace {

// A range is cut into at most so many blocks: enough for the threads of the largest function.
constexpr int64_t kBlockCountMax = 16;
// A block has at least so many rows, so that adding the blocks costs little beside them.
constexpr int64_t kBlockRowsMin = 256;
// All blocks' partial sums together are at most so large (but there is always one block).
constexpr int64_t kPartialsBytesMax = 64 << 20;
// A block of a sparse gradient makes at least so many additions for each sum it holds.
constexpr int64_t kSumsPerParameterMin = 8;
// Parameters of a sparse gradient that one thread merges at a time.
constexpr size_t kMergeChunk = 1 << 16;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t multiple) { return CeilDiv(a, multiple) * multiple; }

void CheckFit(const data::Dataset& dataset, std::span<const int32_t> classes,
              const LinearShape& shape) {
  const auto fail = [](const std::string& message) {
    throw base::Error(base::ErrorCode::kInvalidArgument, message);
  };
  if (shape.n_classes < 2) {
    fail(fmt::format("a linear model needs 2 or more classes, not {}", shape.n_classes));
  }
  if (dataset.n_features() > shape.n_features) {
    fail(fmt::format("the data have {} features but the model only {}", dataset.n_features(),
                     shape.n_features));
  }
  if (static_cast<int64_t>(classes.size()) != dataset.rows()) {
    fail(fmt::format("{} class labels for {} rows", classes.size(), dataset.rows()));
  }
  for (size_t r = 0; r < classes.size(); ++r) {
    if (classes[r] < 0 || classes[r] >= shape.n_classes) {
      fail(fmt::format("row {}: class {} is outside [0, {})", r, classes[r], shape.n_classes));
    }
  }
}

}  // namespace

LinearObjective::LinearObjective(data::Dataset dataset, std::span<const int32_t> classes,
                                 LinearShape shape, LinearLoss loss, base::ThreadPool& pool)
    : dataset_(std::move(dataset)),
      classes_(classes.begin(), classes.end()),
      shape_(shape),
      loss_(loss),
      pool_(pool) {
  CheckFit(dataset_, classes_, shape_);
  const auto n_outputs = static_cast<size_t>(shape_.n_outputs());
  penalised_.assign(static_cast<size_t>(parameter_count()), 1.0F);
  std::fill(penalised_.begin() + shape_.bias_offset(), penalised_.end(), 0.0F);
  bias_.assign(n_outputs, 0.0F);
  bias_sums_.assign(n_outputs, 0.0);
  tile_size_ = n_outputs * kTileRows;
  if (dataset_.is_dense()) {
    tile_rows_ = DenseTileRows(dataset_.n_features());
    plane_stride_ = RoundUp(std::max<int64_t>(dataset_.n_features(), 1), simd::kLanes);
    planes_.assign(n_outputs * static_cast<size_t>(plane_stride_), 0.0F);
    partials_size_ = n_outputs * static_cast<size_t>(plane_stride_ + 1);
  } else {
    partials_size_ = static_cast<size_t>(parameter_count());
  }
}

RowRange LinearObjective::Blocks::operator[](size_t block) const {
  const int64_t begin = rows.begin + static_cast<int64_t>(block) * block_rows;
  return {begin, std::min(begin + block_rows, rows.end)};
}

void LinearObjective::CheckRange(RowRange rows, size_t parameters) const {
  LAMBDAML_CHECK(rows.begin >= 0 && rows.begin <= rows.end && rows.end <= this->rows());
  LAMBDAML_CHECK(static_cast<int64_t>(parameters) == parameter_count());
}

LinearObjective::Blocks LinearObjective::Cut(RowRange rows, int64_t count_max) {
  const int64_t rows_goal = std::max(kBlockRowsMin, CeilDiv(rows.size(), count_max));
  Blocks blocks{.rows = rows, .block_rows = RoundUp(rows_goal, tile_rows_)};
  blocks.count = static_cast<size_t>(CeilDiv(rows.size(), blocks.block_rows));
  if (block_scores_.size() < blocks.count * tile_size_) {
    block_scores_.resize(blocks.count * tile_size_);
  }
  if (block_stats_.size() < blocks.count) block_stats_.resize(blocks.count);
  return blocks;
}

int64_t LinearObjective::GradientBlocksMax(RowRange rows) const {
  const auto parameters = std::max<int64_t>(static_cast<int64_t>(partials_size_), 1);
  int64_t count_max = kPartialsBytesMax / (int64_t{sizeof(double)} * parameters);
  if (!dataset_.is_dense()) {
    const auto& offsets = dataset_.sparse().row_offsets;
    const int64_t nonzeros =
        offsets[static_cast<size_t>(rows.end)] - offsets[static_cast<size_t>(rows.begin)];
    const int64_t sums = nonzeros * shape_.n_outputs();
    count_max = std::min(count_max, sums / (kSumsPerParameterMin * parameters));
  }
  return std::clamp<int64_t>(count_max, 1, kBlockCountMax);
}

void LinearObjective::SetParameters(std::span<const float> w, Factors scale) {
  const int64_t n_outputs = shape_.n_outputs();
  weights_ = w.data();
  weight_scale_ = scale.penalised;
  if (shape_.bias) {
    for (int64_t k = 0; k < n_outputs; ++k) {
      bias_[static_cast<size_t>(k)] = scale.others * weights_[shape_.bias_offset() + k];
    }
  }
  if (!dataset_.is_dense()) return;
  for (int64_t k = 0; k < n_outputs; ++k) {
    float* plane = planes_.data() + k * plane_stride_;
    for (int64_t j = 0; j < dataset_.n_features(); ++j) plane[j] = weights_[j * n_outputs + k];
  }
}

void LinearObjective::ScoresOfTile(RowRange tile, float* scores) const {
  const int n_outputs = shape_.n_outputs();
  if (dataset_.is_dense()) {
    DenseScores(DenseTileOf(tile), planes_.data(), plane_stride_, bias_.data(), n_outputs, scores);
    return;
  }
  SparseScores(dataset_.sparse(), tile, weights_, n_outputs, scores);
  for (int64_t k = 0; k < n_outputs; ++k) {
    const float bias = bias_[static_cast<size_t>(k)];
    float* plane = scores + k * kTileRows;
    for (int64_t i = 0; i < tile.size(); ++i) {
      plane[i] = std::fma(plane[i], weight_scale_, bias);
    }
  }
}

LossStats LinearObjective::ResidualsOfScores(RowRange tile, float* scores) const {
  return ResidualsOfTile(loss_, shape_.n_classes, classes_.data() + tile.begin,
                         static_cast<int>(tile.size()), scores);
}

DenseTile LinearObjective::DenseTileOf(RowRange tile) const {
  const data::DenseRows& x = dataset_.dense();
  return {x.row(tile.begin), x.n_features, static_cast<int>(tile.size())};
}

template <typename Use>
void LinearObjective::ForEachTile(RowRange block, const Use& use) const {
  for (int64_t r = block.begin; r < block.end; r += tile_rows_) {
    use(RowRange{r, std::min(r + tile_rows_, block.end)});
  }
}

template <typename Use>
LossStats LinearObjective::ForEachBlock(const Blocks& blocks, const Use& use) {
  pool_.ForEachBlock(blocks.count, [&](size_t b) {
    LossStats stats;
    ForEachTile(blocks[b], [&](RowRange tile) { stats += use(b, tile); });
    block_stats_[b] = stats;
  });
  LossStats total;
  for (size_t b = 0; b < blocks.count; ++b) total += block_stats_[b];
  return total;
}

void LinearObjective::AccumulateTile(RowRange tile, const float* residuals, double* sums) const {
  const int n_outputs = shape_.n_outputs();
  double* bias_sums = nullptr;
  if (dataset_.is_dense()) {
    DenseAccumulate(DenseTileOf(tile), residuals, n_outputs, sums, plane_stride_);
    bias_sums = sums + n_outputs * plane_stride_;
  } else {
    SparseAccumulate(dataset_.sparse(), tile, residuals, n_outputs, sums);
    bias_sums = sums + shape_.bias_offset();
  }
  if (!shape_.bias) return;
  for (int k = 0; k < n_outputs; ++k) {
    for (int64_t i = 0; i < tile.size(); ++i) {
      bias_sums[k] += static_cast<double>(residuals[k * kTileRows + i]);
    }
  }
}

LossStats LinearObjective::Evaluate(RowRange rows, std::span<const float> w) {
  CheckRange(rows, w.size());
  SetParameters(w);
  return ForEachBlock(Cut(rows, kBlockCountMax), [&](size_t b, RowRange tile) {
    float* scores = block_scores_.data() + b * tile_size_;
    ScoresOfTile(tile, scores);
    return ResidualsOfScores(tile, scores);
  });
}

LossStats LinearObjective::Gradient(RowRange rows, std::span<const float> w,
                                    std::span<float> gradient) {
  CheckRange(rows, w.size());
  CheckRange(rows, gradient.size());
  SetParameters(w);
  const Blocks blocks = Cut(rows, GradientBlocksMax(rows));
  if (partials_.size() < blocks.count * partials_size_) {
    partials_.resize(blocks.count * partials_size_);
  }
  const LossStats stats = ForEachBlock(blocks, [&](size_t b, RowRange tile) {
    float* scores = block_scores_.data() + b * tile_size_;
    ScoresOfTile(tile, scores);
    const LossStats tile_stats = ResidualsOfScores(tile, scores);
    AccumulateTile(tile, scores, partials_.data() + b * partials_size_);
    return tile_stats;
  });
  if (dataset_.is_dense()) {
    MergeDense(blocks.count, gradient);
  } else {
    MergeSparse(blocks.count, gradient);
  }
  return stats;
}

double LinearObjective::TakePartial(size_t block_count, size_t at) {
  double sum = 0;
  for (size_t b = 0; b < block_count; ++b) {
    sum += std::exchange(partials_[b * partials_size_ + at], 0.0);
  }
  return sum;
}

void LinearObjective::MergeDense(size_t block_count, std::span<float> gradient) {
  const auto n_outputs = static_cast<size_t>(shape_.n_outputs());
  const auto n_features = static_cast<size_t>(dataset_.n_features());
  const auto stride = static_cast<size_t>(plane_stride_);
  for (size_t k = 0; k < n_outputs; ++k) {
    for (size_t j = 0; j < n_features; ++j) {
      gradient[j * n_outputs + k] = static_cast<float>(TakePartial(block_count, k * stride + j));
    }
  }
  const auto bias_offset = static_cast<size_t>(shape_.bias_offset());
  std::fill(gradient.begin() + static_cast<ptrdiff_t>(n_features * n_outputs),
            gradient.begin() + static_cast<ptrdiff_t>(bias_offset), 0.0F);
  for (size_t k = 0; shape_.bias && k < n_outputs; ++k) {
    gradient[bias_offset + k] =
        static_cast<float>(TakePartial(block_count, n_outputs * stride + k));
  }
}

void LinearObjective::MergeSparse(size_t block_count, std::span<float> gradient) {
  const size_t chunk_count = (partials_size_ + kMergeChunk - 1) / kMergeChunk;
  pool_.ForEachBlock(chunk_count, [&](size_t chunk) {
    const size_t end = std::min((chunk + 1) * kMergeChunk, partials_size_);
    for (size_t i = chunk * kMergeChunk; i < end; ++i) {
      gradient[i] = static_cast<float>(TakePartial(block_count, i));
    }
  });
}

double LinearObjective::CurvatureBound(RowRange rows) {
  CheckRange(rows, penalised_.size());
  // The rows' numbers stand one after the other in both layouts.
  std::span<const float> values;
  if (dataset_.is_dense()) {
    const data::DenseRows& x = dataset_.dense();
    values = x.values.subspan(static_cast<size_t>(rows.begin * x.n_features),
                              static_cast<size_t>(rows.size() * x.n_features));
  } else {
    const data::SparseRows& x = dataset_.sparse();
    const int64_t begin = x.row_offsets[static_cast<size_t>(rows.begin)];
    const int64_t end = x.row_offsets[static_cast<size_t>(rows.end)];
    values = x.values.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
  }
  double squares = shape_.bias ? static_cast<double>(rows.size()) : 0.0;
  for (const float value : values) {
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  if (loss_ == LinearLoss::kHinge) return squares;
  return squares / (shape_.n_classes == 2 ? 4 : 2);
}

LossStats LinearObjective::Descend(RowRange rows, float step, std::span<float> w) {
  if (!dataset_.is_dense()) return DescendSparse(rows, {}, {step, step}, w, {});
  step_gradient_.resize(w.size());
  const LossStats stats = Gradient(rows, w, step_gradient_);
  for (size_t i = 0; i < w.size(); ++i) w[i] -= step * step_gradient_[i];
  return stats;
}

void LinearObjective::SetAnchor(std::span<const float> anchor) {
  anchor_scores_.clear();
  if (anchor.empty()) return;
  const RowRange all{0, rows()};
  CheckRange(all, anchor.size());
  SetParameters(anchor);
  const auto n_outputs = static_cast<size_t>(shape_.n_outputs());
  anchor_scores_.resize(static_cast<size_t>(rows()) * n_outputs);
  ForEachBlock(Cut(all, kBlockCountMax), [&](size_t b, RowRange tile) {
    float* scores = block_scores_.data() + b * tile_size_;
    ScoresOfTile(tile, scores);
    float* to = anchor_scores_.data() + static_cast<size_t>(tile.begin) * n_outputs;
    for (int64_t i = 0; i < tile.size(); ++i) {
      for (size_t k = 0; k < n_outputs; ++k) *to++ = scores[k * kTileRows + static_cast<size_t>(i)];
    }
    return LossStats{};
  });
}

LossStats LinearObjective::DescendScaled(RowRange rows, Factors scale, Factors step,
                                         std::span<float> v) {
  return DescendSparse(rows, scale, step, v, anchor_scores_);
}

LossStats LinearObjective::DescendSparse(RowRange rows, Factors scale, Factors step,
                                         std::span<float> v, std::span<const float> anchor_scores) {
  CheckRange(rows, v.size());
  SetParameters(v, scale);
  const auto n_outputs = static_cast<size_t>(shape_.n_outputs());
  const auto tiles = static_cast<size_t>(CeilDiv(rows.size(), kTileRows));
  if (residuals_.size() < tiles * tile_size_) residuals_.resize(tiles * tile_size_);
  const auto residuals_of = [&](RowRange tile) {
    return residuals_.data() +
           static_cast<size_t>((tile.begin - rows.begin) / kTileRows) * tile_size_;
  };
  // The gradient is that of the whole range at the old w, so all residuals come first.
  const LossStats stats = ForEachBlock(Cut(rows, kBlockCountMax), [&](size_t, RowRange tile) {
    float* scores = residuals_of(tile);
    ScoresOfTile(tile, scores);
    if (!anchor_scores.empty()) {
      const float* from = anchor_scores.data() + static_cast<size_t>(tile.begin) * n_outputs;
      for (size_t i = 0; i < static_cast<size_t>(tile.size()); ++i) {
        for (size_t k = 0; k < n_outputs; ++k) scores[k * kTileRows + i] += *from++;
      }
    }
    return ResidualsOfScores(tile, scores);
  });
  std::fill(bias_sums_.begin(), bias_sums_.end(), 0.0);
  ForEachTile(rows, [&](RowRange tile) {
    const float* residuals = residuals_of(tile);
    SparseDescend(dataset_.sparse(), tile, residuals, shape_.n_outputs(), step.penalised, v.data());
    for (size_t k = 0; k < n_outputs; ++k) {
      for (size_t i = 0; i < static_cast<size_t>(tile.size()); ++i) {
        bias_sums_[k] += static_cast<double>(residuals[k * kTileRows + i]);
      }
    }
  });
  if (shape_.bias) {
    const auto bias_step = static_cast<double>(step.others);
    float* bias = v.data() + shape_.bias_offset();
    for (size_t k = 0; k < n_outputs; ++k) {
      bias[k] = static_cast<float>(static_cast<double>(bias[k]) - bias_step * bias_sums_[k]);
    }
  }
  return stats;
}

}  // namespace lambdaml::model
