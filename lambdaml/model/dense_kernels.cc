#include "lambdaml/model/dense_kernels.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "lambdaml/model/simd.h"
#include "lambdaml/model/tile.h"

namespace lambdaml::model {
namespace {

using simd::Broadcast;
using simd::F8;
using simd::kLanes;

// What a second pass finds in the second cache.
constexpr int64_t kTileBytesGoal = 128 << 10;

// Sums of eight (row, output) pairs in eight registers: kRows rows by kOutputs outputs. Lane
// k * kRows + r of the result is that of row r and output k.
template <int kRows, int kOutputs>
F8 ScoreBlock(const float* const (&x)[kRows], int64_t n_features, const float* plane,
              int64_t plane_stride) {
  static_assert(kRows * kOutputs == kLanes);
  F8 sum[kLanes] = {};
  for (int64_t j = 0; j < n_features; j += kLanes) {
    const int count = static_cast<int>(std::min<int64_t>(kLanes, n_features - j));
    const bool full = count == kLanes;
    F8 w[kOutputs];
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) w[k] = simd::Load(plane + k * plane_stride + j);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      F8 v = full ? simd::Load(x[r] + j) : simd::LoadPartial(x[r] + j, count);
      if constexpr (kOutputs > 1) simd::Pin(v);
#pragma GCC unroll 8
      for (int k = 0; k < kOutputs; ++k) {
        sum[k * kRows + r] = simd::MulAdd(v, w[k], sum[k * kRows + r]);
      }
    }
  }
  return simd::SumEach(sum);
}

template <int kOutputs>
void ScoreOutputs(const DenseTile& tile, const float* plane, int64_t plane_stride,
                  const float* bias, float* scores) {
  constexpr int kRows = kLanes / kOutputs;
  F8 biases;
  for (int lane = 0; lane < kLanes; ++lane) biases[lane] = bias[lane / kRows];
  for (int first = 0; first < tile.rows; first += kRows) {
    const float* x[kRows];
    for (int r = 0; r < kRows; ++r) {  // rows beyond the last repeat it; their sums are dropped
      x[r] = tile.values + std::min(first + r, tile.rows - 1) * tile.n_features;
    }
    const F8 sums = ScoreBlock<kRows, kOutputs>(x, tile.n_features, plane, plane_stride) + biases;
    for (int k = 0; k < kOutputs; ++k) {
      std::memcpy(scores + k * kTileRows + first, reinterpret_cast<const float*>(&sums) + k * kRows,
                  kRows * sizeof(float));
    }
  }
}

// Asks for kVectors vectors that stand so many bytes after x, which may be beyond the table's end.
template <int kVectors>
void Prefetch(const float* x, size_t bytes_ahead) {
  constexpr size_t kLineBytes = 64;
  const uintptr_t address = reinterpret_cast<uintptr_t>(x) + bytes_ahead;
#pragma GCC unroll 4
  for (size_t b = 0; b < kVectors * sizeof(F8); b += kLineBytes) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): a pointer may not leave its array, an address may
    __builtin_prefetch(reinterpret_cast<const void*>(address + b));
  }
}

// kVectors · 8 columns from j on, of which the last vector may have fewer than eight.
//
// kPrefetch: asks for the same columns of the next tile, so that memory is busy while this tile's
// gradient is computed from the caches.
template <int kOutputs, int kVectors, bool kPrefetch>
void GradientColumns(const DenseTile& tile, const float* residuals, int64_t j, double* gradient,
                     int64_t gradient_stride) {
  const int last_count =
      static_cast<int>(std::min<int64_t>(kLanes, tile.n_features - j - (kVectors - 1) * kLanes));
  const size_t tile_bytes = static_cast<size_t>(tile.rows * tile.n_features) * sizeof(float);
  F8 sum[kOutputs][kVectors] = {};
  const bool last_is_full = last_count == kLanes;
  const float* x = tile.values + j;
  for (int r = 0; r < tile.rows; ++r, x += tile.n_features) {
    if constexpr (kPrefetch) Prefetch<kVectors>(x, tile_bytes);
    F8 v[kVectors];
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) {
      const float* from = x + i * kLanes;
      v[i] =
          i + 1 < kVectors || last_is_full ? simd::Load(from) : simd::LoadPartial(from, last_count);
      if constexpr (kOutputs > 1) simd::Pin(v[i]);
    }
#pragma GCC unroll 8
    for (int k = 0; k < kOutputs; ++k) {
      const F8 residual = Broadcast(residuals[k * kTileRows + r]);
#pragma GCC unroll 8
      for (int i = 0; i < kVectors; ++i) sum[k][i] = simd::MulAdd(residual, v[i], sum[k][i]);
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kOutputs; ++k) {
    double* to = gradient + k * gradient_stride + j;
#pragma GCC unroll 8
    for (int i = 0; i < kVectors; ++i) simd::AddTo(to + i * kLanes, sum[k][i]);
  }
}

template <int kOutputs, bool kPrefetch>
void GradientOutputs(const DenseTile& tile, const float* residuals, double* gradient,
                     int64_t gradient_stride, int64_t j, int64_t vectors) {
  const auto columns = [&](auto kernel) { kernel(tile, residuals, j, gradient, gradient_stride); };
  switch (vectors) {
    case 1:
      return columns(GradientColumns<kOutputs, 1, kPrefetch>);
    case 2:
      return columns(GradientColumns<kOutputs, 2, kPrefetch>);
    case 3:
      return columns(GradientColumns<kOutputs, 3, kPrefetch>);
    default:
      return columns(GradientColumns<kOutputs, 4, kPrefetch>);
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
    if (n_outputs == 1) {
      GradientOutputs<1, true>(tile, residuals, gradient, gradient_stride, j, count);
      continue;
    }
    GradientOutputs<2, true>(tile, residuals, gradient, gradient_stride, j, count);
    int k = 2;
    for (; k + 2 <= n_outputs; k += 2) {
      GradientOutputs<2, false>(tile, residuals + k * kTileRows, gradient + k * gradient_stride,
                                gradient_stride, j, count);
    }
    if (k < n_outputs) {
      GradientOutputs<1, false>(tile, residuals + k * kTileRows, gradient + k * gradient_stride,
                                gradient_stride, j, count);
    }
  }
}

}  // namespace lambdaml::model
