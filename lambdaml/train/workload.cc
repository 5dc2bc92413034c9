#include "lambdaml/train/workload.h"

#include "lambdaml/train/cnn_workload.h"
#include "lambdaml/train/kmeans_workload.h"
#include "lambdaml/train/linear_workload.h"

namespace lambdaml::train {

const Workload& WorkloadOf(wire::ModelKind model) {
  switch (model) {
    case wire::ModelKind::kMobileNet:
    case wire::ModelKind::kResNet18:
    case wire::ModelKind::kResNet50:
      return kCnnWorkload;
    case wire::ModelKind::kLr:
    case wire::ModelKind::kSvm:
    case wire::ModelKind::kSparseLr:
    case wire::ModelKind::kSparseSvm:
      break;
    case wire::ModelKind::kKmeans:
      return kKmeansWorkload;
  }
  return kLinearWorkload;
}

}  // namespace lambdaml::train
