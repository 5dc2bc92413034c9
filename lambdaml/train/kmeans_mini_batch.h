// Mini-batch k-means (Sculley 2010, "Web-scale k-means clustering") over the rows of all workers.
//
// A centroid is the mean of all rows that were ever assigned to it, S_c / n_c, and stays at its
// first place while there is none: Sculley's update with the learning rate 1/n_c. A step assigns
// batch_size rows of each worker and adds their sums to S and their counts to n.
//
//   synchronous    one round a step: S and n of all ranks' batches, in float64 (ClusterSums); every
//                  rank then has the same centroids.
//   asynchronous   S and n are the shared model (comm::SharedModel, float32): a worker adds its
//                  batch's to it and goes on from the result. Since all that happens to S and n is
//                  addition, no update is lost, whatever the order.
//
// An epoch is one pass over the worker's rows, in an order drawn from (seed, epoch, rank). Unlike
// Lloyd's iterations the result depends on the number of workers. Clusters without rows stay where
// they are.
#pragma once

#include <optional>

#include "lambdaml/train/kmeans_training.h"

namespace lambdaml::train {

struct MiniBatchOptions {
  int64_t batch_size = 0;  // rows of each worker in a step
  uint64_t seed = 0;
  // Of SharedModelSize numbers; nullptr: synchronous.
  comm::SharedModel* shared = nullptr;
};

// The numbers of the shared model: S, then n.
size_t SharedModelSize(int64_t k, int64_t n_features);

// The result is the same on every rank but for an asynchronous run's epochs. An epoch's inertia is
// that of its rows when they were assigned, of all ranks or, asynchronously, of this one; the
// result's is that of all rows to the finished centroids. threshold is for synchronous runs.
// Nothing if the generation ended first.
std::optional<KmeansResult> RunMiniBatch(const RowExchange& rows, const KmeansStart& start,
                                         Generation& generation, const KmeansOptions& options,
                                         const MiniBatchOptions& mini_batch,
                                         base::ThreadPool& pool);

}  // namespace lambdaml::train
