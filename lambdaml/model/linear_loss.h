// Losses of a tile of rows and their derivatives by the scores, eight rows at a time.
#pragma once

#include <cstdint>

#include "lambdaml/model/linear_shape.h"
#include "lambdaml/model/objective.h"
#include "lambdaml/model/tile.h"

namespace lambdaml::model {

// Replaces the scores of rows [0, rows) of a tile by the residuals ∂loss/∂score, and returns loss
// and correct predictions (see linear_shape.h for both).
//
//   logistic, two classes:  -t·σ(-t·s);   more:  softmax(s)_k - [k = y]
//   hinge:                  -t_k where t_k·s_k < 1, else 0
//
// scores: n_outputs planes, whose entries at rows…kTileRows-1 may hold anything and are set to 0.
// classes[r] is in [0, n_classes). Each row's loss has a relative error of at most 1e-6 (plus 1e-7
// absolute for more than two classes) given its scores; the sum over rows is taken in double.
LossStats ResidualsOfTile(LinearLoss loss, int n_classes, const int32_t* classes, int rows,
                          float* scores);

}  // namespace lambdaml::model
