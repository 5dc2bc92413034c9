#include "lambdaml/model/sparse_kernels.h"

#include <cmath>

#include "lambdaml/model/tile.h"

namespace lambdaml::model {
namespace {

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

float Dot(const SparseRow& row, const float* w) {
  // Four chains, so that one multiply-add need not wait for the one before.
  float sum[4] = {};
  int64_t i = 0;
  for (; i + 4 <= row.nonzeros; i += 4) {
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) {
      sum[c] = std::fma(row.values[i + c], w[row.columns[i + c]], sum[c]);
    }
  }
  for (; i < row.nonzeros; ++i) sum[0] = std::fma(row.values[i], w[row.columns[i]], sum[0]);
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
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
    for (int k = 0; k < n_outputs; ++k) out[k * kTileRows] = 0;
    for (int64_t i = 0; i < row.nonzeros; ++i) {
      const float* w_j = w + static_cast<int64_t>(row.columns[i]) * n_outputs;
      for (int k = 0; k < n_outputs; ++k) {
        out[k * kTileRows] = std::fma(row.values[i], w_j[k], out[k * kTileRows]);
      }
    }
  }
}

void SparseAccumulate(const data::SparseRows& x, RowRange rows, const float* residuals,
                      int n_outputs, double* gradient) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const SparseRow row = RowOf(x, r);
    for (int k = 0; k < n_outputs; ++k) {
      const double residual = static_cast<double>(residuals[k * kTileRows + (r - rows.begin)]);
      if (residual == 0) continue;
      double* to = gradient + k;
      for (int64_t i = 0; i < row.nonzeros; ++i) {
        to[static_cast<int64_t>(row.columns[i]) * n_outputs] +=
            residual * static_cast<double>(row.values[i]);
      }
    }
  }
}

void SparseDescend(const data::SparseRows& x, RowRange rows, const float* residuals, int n_outputs,
                   float step, float* w) {
  for (int64_t r = rows.begin; r < rows.end; ++r) {
    const SparseRow row = RowOf(x, r);
    for (int k = 0; k < n_outputs; ++k) {
      const float residual = residuals[k * kTileRows + (r - rows.begin)];
      if (residual == 0) continue;
      const float move = -step * residual;
      float* to = w + k;
      for (int64_t i = 0; i < row.nonzeros; ++i) {
        float& w_j = to[static_cast<int64_t>(row.columns[i]) * n_outputs];
        w_j = std::fma(move, row.values[i], w_j);
      }
    }
  }
}

}  // namespace lambdaml::model
