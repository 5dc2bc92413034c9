// The two products of a linear model over a tile of dense rows: scores and gradient.
//
// Weights and gradients are held in planes here, one per output, so that features are the
// vectors' lanes whatever the number of outputs: plane[k * plane_stride + j]. A tile is read
// twice: from memory for its scores, from the nearest caches for the gradient.
#pragma once

#include <cstdint>

namespace lambdaml::model {

// `rows` (at most kTileRows) rows of n_features floats each, one after the other. Nothing beyond
// them is read.
struct DenseTile {
  const float* values = nullptr;
  int64_t n_features = 0;
  int rows = 0;
};

// Rows of a tile: as many as stay in the nearest caches between the two passes; a multiple of 8 in
// [8, kTileRows], by n_features only.
int DenseTileRows(int64_t n_features);

// scores[k * kTileRows + r] = bias[k] + Σ_j values[r][j] · plane[k][j].
//
// |error| <= (n_features/8 + 5) · 2^-24 · (|bias[k]| + Σ_j |values[r][j] · plane[k][j]|): eight
// fused sums over every eighth feature, added pairwise. The result of a row does not depend on the
// other rows. Planes of weights have room for n_features rounded up to a multiple of 8, with zeros
// beyond n_features.
void DenseScores(const DenseTile& tile, const float* planes, int64_t plane_stride,
                 const float* bias, int n_outputs, float* scores);

// gradient[k * gradient_stride + j] += Σ_r residuals[k * kTileRows + r] · values[r][j].
//
// The sum over the tile's rows is a chain of fused float32 multiply-adds: |error| <= rows · 2^-24 ·
// Σ_r |residual · value|. It is added to the gradient in double. Planes of the gradient have room
// for n_features rounded up to a multiple of 8; 0 is added to what is beyond n_features.
void DenseAccumulate(const DenseTile& tile, const float* residuals, int n_outputs, double* gradient,
                     int64_t gradient_stride);

}  // namespace lambdaml::model
