// The sum of the project: terms added in the order of ranks in float64, rounded once to float32,
// whatever their precision.
//
//   sum_i = round((((+0 + x_0i) + x_1i) + …) + x_{W-1}i)
//
// The sum starts at +0, not at the first term, so it never is -0 on the way: adding the +0 of an
// element that a sparse vector leaves out changes no bit, and may be skipped. So the result does
// not depend on which ranks wrote dense and which wrote sparse. (Not a number stays so; which of
// its payloads comes out, where several meet, is open.)
#pragma once

#include <span>

#include "lambdaml/wire/vector_codec.h"

namespace lambdaml::wire {

// Sets scalars and vector to the sums over terms[rank]. All have the same counts. The output may be
// the memory of one of the dense terms. Runs in blocks whose accumulators stay in the L1 cache.
void SumInRankOrder(std::span<const VectorView> terms, std::span<double> scalars,
                    std::span<float> vector);

}  // namespace lambdaml::wire
