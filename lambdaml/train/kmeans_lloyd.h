// Lloyd's iterations over the rows of all workers.
//
// One epoch: every rank assigns its rows to their nearest centroids; one round adds up the ranks'
// sums and counts per cluster, their inertia and how many rows changed their cluster (ClusterSums);
// every rank then computes the same centroids, c = float32(sum / count). The round of epoch e also
// says what the centroids after epoch e are worth, so n epochs take n + 1 rounds, and the last
// one's figures are those of the finished model.
//
// A cluster without rows gets the row that is farthest from its own centroid: of several, the
// farthest to the lowest cluster, of equally far ones the row with the lowest number first; a row
// that equals one chosen before is passed over, and so is one that lies on its centroid. The other
// centroids are the means as ever. That takes one more round (each rank offers as many of its
// farthest rows as there are empty clusters) and a pass over the data, but only where a cluster is
// empty: carrying candidates in every round would cost more than the rare round does.
//
// It ends when the epochs are used up ("n_epochs"), when the centroids have moved by no more than
// the threshold ("threshold"), or when no row has changed its cluster and no empty cluster can be
// given a row ("convergence").
#pragma once

#include <optional>

#include "lambdaml/model/kmeans_shard.h"
#include "lambdaml/train/kmeans_training.h"

namespace lambdaml::train {

// The same result on every rank; nothing if the generation ended first. `shard` holds the rows of
// `rows`. Errors: those of the communicator.
std::optional<KmeansResult> RunLloyd(model::KMeansShard& shard, const RowExchange& rows,
                                     const KmeansStart& start, Generation& generation,
                                     const KmeansOptions& options);

}  // namespace lambdaml::train
