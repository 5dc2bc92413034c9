// K-means as a workload: rows without labels, trained by Lloyd's iterations (kmeans_lloyd.h) or in
// mini-batches (kmeans_mini_batch.h), saved as centroids (model/kmeans_model_file.h).
#pragma once

#include "lambdaml/train/workload.h"

namespace lambdaml::train {

extern const Workload kKmeansWorkload;

}  // namespace lambdaml::train
