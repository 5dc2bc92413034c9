// The two products of a linear model over sparse rows: gather and scatter.
//
// Weights and gradients keep the model's own layout, w[j * n_outputs + k], so that one non-zero
// touches one piece of memory whatever the number of outputs.
#pragma once

#include <cstdint>
#include <span>

#include "lambdaml/data/dataset.h"
#include "lambdaml/model/objective.h"

namespace lambdaml::model {

// scores[k * kTileRows + i] = Σ_j x_j · w[j * n_outputs + k] for row rows.begin + i; at most
// kTileRows rows. Fused float32 chains over the row's non-zeros (eight of them, added pairwise, for
// one output): |error| <= (nonzeros + 3) · 2^-24 · Σ |x_j · w_j|.
void SparseScores(const data::SparseRows& x, RowRange rows, const float* w, int n_outputs,
                  float* scores);

// gradient[j * n_outputs + k] += residual_k(r) · x_j over the rows' non-zeros, in double, where
// residual_k(r) is residuals[k * kTileRows + i] as for SparseScores.
void SparseAccumulate(const data::SparseRows& x, RowRange rows, const float* residuals,
                      int n_outputs, double* gradient);

// w[j * n_outputs + k] -= step · residual_k(r) · x_j over the rows' non-zeros, in float32.
void SparseDescend(const data::SparseRows& x, RowRange rows, const float* residuals, int n_outputs,
                   float step, float* w);

}  // namespace lambdaml::model
