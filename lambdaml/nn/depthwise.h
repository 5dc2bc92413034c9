// The weight gradient of a depthwise convolution, where oneDNN's kernels are slow or missing (for
// images of 2 x 2 it falls back to one matrix product per channel, a hundred times the time).
#pragma once

#include <cstdint>

#include "lambdaml/nn/layer.h"

namespace lambdaml::nn {

// Floats of the partial sums below.
int64_t DepthwisePartialCount(const LayerPlace& place);

//   gradient[c][i][j] = Σ_n Σ_yx output_gradient[n][c][y][x] · input[n][c][y·s + i − 1][x·s + j −
//   1]
//
// for 3 x 3 kernels, padding 1, stride s; terms outside the image are left out. input and
// output_gradient are blocked, gradient is plain: channels x 3 x 3. partials: scratch memory of
// DepthwisePartialCount floats. Rows are summed in groups that depend on their number only, so the
// bits do not depend on the thread count.
void DepthwiseWeightGradient(const LayerPlace& place, const float* input,
                             const float* output_gradient, float* partials, float* gradient);

}  // namespace lambdaml::nn
