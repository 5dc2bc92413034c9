#include "lambdaml/model/dense_kernels.h"

#include <algorithm>

#include "lambdaml/model/simd.h"
#include "lambdaml/model/tile.h"

namespace lambdaml::model {
namespace {

using simd::Broadcast;
using simd::F8;
using simd::kLanes;

constexpr int64_t kTileBytesGoal = 64 << 10;

// Sums of eight (row, output) pairs in eight registers: kRows rows by kOutputs outputs.
template <int kRows, int kOutputs>
void ScoreBlock(const float* const (&x)[kRows], int64_t n_features, const float* plane,
                int64_t plane_stride, float (&sums)[kLanes]) {
  static_assert(kRows * kOutputs == kLanes);
  F8 sum[kLanes] = {};
  const auto add = [&](int64_t j, const auto& load) {
    F8 w[kOutputs];
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) w[k] = load(plane + k * plane_stride + j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const F8 v = load(x[r] + j);
#pragma GCC unroll 8
      for (int k = 0; k < kOutputs; ++k) {
        sum[k * kRows + r] = simd::MulAdd(v, w[k], sum[k * kRows + r]);
      }
    }
  };
  int64_t j = 0;
  for (; j + kLanes <= n_features; j += kLanes) add(j, simd::Load);
  if (const int rest = static_cast<int>(n_features - j); rest > 0) {
    add(j, [rest](const float* from) { return simd::LoadPartial(from, rest); });
  }
  simd::Store(sums, simd::SumEach(sum));
}

template <int kOutputs>
void ScoreOutputs(const DenseTile& tile, const float* plane, int64_t plane_stride,
                  const float* bias, float* scores) {
  constexpr int kRows = kLanes / kOutputs;
  for (int first = 0; first < tile.rows; first += kRows) {
    const float* x[kRows];
    for (int r = 0; r < kRows; ++r) {  // rows beyond the last repeat it; their sums are dropped
      x[r] = tile.values + std::min(first + r, tile.rows - 1) * tile.n_features;
    }
    float sums[kLanes];
    ScoreBlock<kRows, kOutputs>(x, tile.n_features, plane, plane_stride, sums);
    for (int k = 0; k < kOutputs; ++k) {
      for (int r = 0; r < kRows; ++r) {
        scores[k * kTileRows + first + r] = sums[k * kRows + r] + bias[k];
      }
    }
  }
}

// kVectors · 8 columns from j on, of which the last vector may have fewer than eight.
template <int kOutputs, int kVectors>
void GradientColumns(const DenseTile& tile, const float* residuals, int64_t j, double* gradient,
                     int64_t gradient_stride) {
  const int last_count =
      static_cast<int>(std::min<int64_t>(kLanes, tile.n_features - j - (kVectors - 1) * kLanes));
  F8 sum[kOutputs][kVectors] = {};
  const auto accumulate = [&](const auto& load_last) {
    const float* x = tile.values + j;
    for (int r = 0; r < tile.rows; ++r, x += tile.n_features) {
      F8 v[kVectors];
#pragma GCC unroll 8
      for (int i = 0; i + 1 < kVectors; ++i) v[i] = simd::Load(x + i * kLanes);
      v[kVectors - 1] = load_last(x + (kVectors - 1) * kLanes);
#pragma GCC unroll 8
      for (int k = 0; k < kOutputs; ++k) {
        const F8 residual = Broadcast(residuals[k * kTileRows + r]);
#pragma GCC unroll 8
        for (int i = 0; i < kVectors; ++i) sum[k][i] = simd::MulAdd(residual, v[i], sum[k][i]);
      }
    }
  };
  if (last_count == kLanes) {
    accumulate(simd::Load);
  } else {
    accumulate([last_count](const float* from) { return simd::LoadPartial(from, last_count); });
  }
  for (int k = 0; k < kOutputs; ++k) {
    double* to = gradient + k * gradient_stride + j;
    for (int i = 0; i < kVectors; ++i) {
      const int count = i + 1 < kVectors ? kLanes : last_count;
      for (int lane = 0; lane < count; ++lane) {
        to[i * kLanes + lane] += static_cast<double>(sum[k][i][lane]);
      }
    }
  }
}

template <int kOutputs>
void GradientOutputs(const DenseTile& tile, const float* residuals, double* gradient,
                     int64_t gradient_stride, int64_t j, int64_t vectors) {
  const auto columns = [&](auto kernel) { kernel(tile, residuals, j, gradient, gradient_stride); };
  switch (vectors) {
    case 1:
      return columns(GradientColumns<kOutputs, 1>);
    case 2:
      return columns(GradientColumns<kOutputs, 2>);
    case 3:
      return columns(GradientColumns<kOutputs, 3>);
    default:
      return columns(GradientColumns<kOutputs, 4>);
  }
}

}  // namespace

int DenseTileRows(int64_t n_features) {
  const int64_t row_bytes = std::max<int64_t>(n_features, 1) * int64_t{sizeof(float)};
  const int64_t rows = kTileBytesGoal / row_bytes / kLanes * kLanes;
  return static_cast<int>(std::clamp<int64_t>(rows, kLanes, kTileRows));
}

void DenseScores(const DenseTile& tile, const float* planes, int64_t plane_stride,
                 const float* bias, int n_outputs, float* scores) {
  int k = 0;
  for (; k + 2 <= n_outputs; k += 2) {
    ScoreOutputs<2>(tile, planes + k * plane_stride, plane_stride, bias + k,
                    scores + k * kTileRows);
  }
  if (k < n_outputs) {
    ScoreOutputs<1>(tile, planes + k * plane_stride, plane_stride, bias + k,
                    scores + k * kTileRows);
  }
}

void DenseAccumulate(const DenseTile& tile, const float* residuals, int n_outputs, double* gradient,
                     int64_t gradient_stride) {
  constexpr int64_t kVectorsMax = 4;
  const int64_t vectors = (tile.n_features + kLanes - 1) / kLanes;
  // Columns outside, outputs inside: the tile's columns stay in the first cache for all outputs.
  for (int64_t first = 0; first < vectors; first += kVectorsMax) {
    const int64_t count = std::min(kVectorsMax, vectors - first);
    const int64_t j = first * kLanes;
    int k = 0;
    for (; k + 2 <= n_outputs; k += 2) {
      GradientOutputs<2>(tile, residuals + k * kTileRows, gradient + k * gradient_stride,
                         gradient_stride, j, count);
    }
    if (k < n_outputs) {
      GradientOutputs<1>(tile, residuals + k * kTileRows, gradient + k * gradient_stride,
                         gradient_stride, j, count);
    }
  }
}

}  // namespace lambdaml::model
