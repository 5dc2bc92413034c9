// Linear models in LIBLINEAR's text format: what we save, `liblinear-predict` reads and predicts
// the same with; what `liblinear-train` saves, we read.
//
//   file      = header weights [trailer]
//   header    = "solver_type" name NL "nr_class" K NL "label" K integers NL
//               "nr_feature" n NL "bias" B NL "w" NL          (in any order, "w" last)
//   weights   = one line per feature, and one for the bias if B >= 0: n_w numbers
//   trailer   = "lambdaml_model 1" NL "loss" ("logistic" | "hinge") NL
//               ["labels" K numbers NL] {key value NL} "checksum" 16 hex digits NL
//
// LIBLINEAR stops reading after the weights. n_w is 1 for two classes (except MCSVM_CS: 2), else K.
// With n_w = 1 a positive score speaks for label[0], which is our class 1. The bias feature's value
// is B: its weight times B is our bias.
//
//   solver_type             two classes          more classes
//   L2R_LR                  logistic             logistic, one against the rest
//   L2R_L1LOSS_SVC_DUAL     hinge                hinge, one against the rest
//   MCSVM_CS                (read only)          softmax, if the trailer says logistic; else hinge
//
// MCSVM_CS because LIBLINEAR's prediction for it, the largest score, is ours, and because it then
// refuses to print probabilities, where those of L2R_LR would be other than a softmax's. Read also:
// L2R_LR_DUAL, L1R_LR, L2R_L2LOSS_SVC, L2R_L2LOSS_SVC_DUAL, L1R_L2LOSS_SVC.
//
// Labels that are not 32-bit integers stand in the trailer; the header then has the classes'
// numbers 0, 1, …. Numbers are written in the shortest form that reads back the same. The checksum
// (base/checksum.h) covers all bytes before its line.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/model/linear_model.h"

namespace lambdaml::model {

// The file's text. Weights and labels must be finite, labels different from one another.
std::string FormatLinearModel(const LinearModel& model);

// The inverse. `origin` names the text in errors. Errors: kInvalidData, "origin:line: what"; for
// regression and one-class models too; kCorrupt when the checksum does not fit.
LinearModel ParseLinearModel(std::string_view text, std::string_view origin);

}  // namespace lambdaml::model
