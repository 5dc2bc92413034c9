#include "lambdaml/model/sparse_kernels.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/model/simd.h"
#include "lambdaml/model/tile.h"

namespace lambdaml::model {
namespace {

constexpr int kChains = 8;
constexpr int kOutputsAtOnce = 32;

// One row's non-zeros.
struct SparseRow {
  const int32_t* columns;
  const float* values;
  int64_t nonzeros;
};

SparseRow RowOf(const data::SparseRows& x, int64_t r) {
  const auto at = static_cast<size_t>(r);
  const int64_t begin = x.row_offsets[at];
  return {x.columns.data() + begin, x.values.data() + begin, x.row_offsets[at + 1] - begin};
}

float Dot(const SparseRow& row, const float* __restrict w) {
  // Several chains, so that one multiply-add need not wait for the one before.
  float sum[kChains] = {};
  int64_t i = 0;
  for (; i + kChains <= row.nonzeros; i += kChains) {
#pragma GCC unroll 8
    for (int c = 0; c < kChains; ++c) {
      sum[c] = std::fma(row.values[i + c], w[row.columns[i + c]], sum[c]);
    }
  }
  for (; i < row.nonzeros; ++i) sum[0] = std::fma(row.values[i], w[row.columns[i]], sum[0]);
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// w += scale·row. Columns do not repeat within a row, so a few entries can be under way at once.
template <typename Number>
void AddScaled(Number scale, const SparseRow& row, Number* w) {
  constexpr int kAtOnce = 4;
  int64_t i = 0;
  for (; i + kAtOnce <= row.nonzeros; i += kAtOnce) {
    Number sum[kAtOnce];
#pragma GCC unroll 4
    for (int c = 0; c < kAtOnce; ++c) {
      sum[c] = std::fma(scale, static_cast<Number>(row.values[i + c]), w[row.columns[i + c]]);
    }
#pragma GCC unroll 4
    for (int c = 0; c < kAtOnce; ++c) w[row.columns[i + c]] = sum[c];
  }
  for (; i < row.nonzeros; ++i) {
    w[row.columns[i]] = std::fma(scale, static_cast<Number>(row.values[i]), w[row.columns[i]]);
  }
}

// w[j * n_outputs + k] += scales[k]·row_j for `count` outputs from w on.
template <typename Number>
void AddScaledOutputs(const Number* __restrict scales, int count, const SparseRow& row,
                      int n_outputs, Number* __restrict w) {
  for (int64_t i = 0; i < row.nonzeros; ++i) {
    const auto value = static_cast<Number>(row.values[i]);
    Number* __restrict w_j = w + static_cast<int64_t>(row.columns[i]) * n_outputs;
    for (int k = 0; k < count; ++k) w_j[k] = std::fma(scales[k], value, w_j[k]);
  }
}

// w += factor·residual_k(r)·x_rj over all rows.
template <typename Number>
void Scatter(const data::SparseRows& x, RowRange rows, const float* residuals, int n_outputs,
             Number factor, Number* w) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const SparseRow row = RowOf(x, r);
    const float* residual = residuals + (r - rows.begin);
    if (n_outputs == 1) {
      if (*residual != 0) AddScaled(factor * static_cast<Number>(*residual), row, w);
      continue;
    }
    for (int first = 0; first < n_outputs; first += kOutputsAtOnce) {
      const int count = std::min(kOutputsAtOnce, n_outputs - first);
      Number scales[kOutputsAtOnce];
      for (int k = 0; k < count; ++k) {
        scales[k] = factor * static_cast<Number>(residual[(first + k) * kTileRows]);
      }
      AddScaledOutputs(scales, count, row, n_outputs, w + first);
    }
  }
}

// Scores of up to eight outputs from w and out on, in one register.
void DotOutputs(const SparseRow& row, const float* w, int n_outputs, int count, float* out) {
  const auto sum_with = [&](const auto& load) {
    simd::F8 sum = {};
    for (int64_t i = 0; i < row.nonzeros; ++i) {
      const float* w_j = w + static_cast<int64_t>(row.columns[i]) * n_outputs;
      sum = simd::MulAdd(simd::Broadcast(row.values[i]), load(w_j), sum);
    }
    return sum;
  };
  const simd::F8 sum =
      count == simd::kLanes
          ? sum_with(simd::Load)
          : sum_with([count](const float* from) { return simd::LoadPartial(from, count); });
  for (int k = 0; k < count; ++k) out[k * kTileRows] = sum[k];
}

}  // namespace

void SparseScores(const data::SparseRows& x, RowRange rows, const float* w, int n_outputs,
                  float* scores) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const SparseRow row = RowOf(x, r);
    float* out = scores + (r - rows.begin);
    if (n_outputs == 1) {
      *out = Dot(row, w);
      continue;
    }
    for (int first = 0; first < n_outputs; first += simd::kLanes) {
      DotOutputs(row, w + first, n_outputs, std::min(simd::kLanes, n_outputs - first),
                 out + first * kTileRows);
    }
  }
}

void SparseAccumulate(const data::SparseRows& x, RowRange rows, const float* residuals,
                      int n_outputs, double* gradient) {
  Scatter(x, rows, residuals, n_outputs, 1.0, gradient);
}

void SparseDescend(const data::SparseRows& x, RowRange rows, const float* residuals, int n_outputs,
                   float step, float* w) {
  Scatter(x, rows, residuals, n_outputs, -step, w);
}

}  // namespace lambdaml::model
