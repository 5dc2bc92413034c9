// The first centroids of k-means, chosen from the rows of all workers. Every draw is a hash of the
// seed and a row's number, so the choice does not depend on how many workers there are or which
// holds which row. (One reservation: k-means|| draws with probabilities divided by a sum over all
// rows, which is rounded in the order of ranks. A row whose draw lies within that rounding, one in
// 10^15, may be a candidate for one number of workers and none for another.)
#pragma once

#include <cstdint>

#include "lambdaml/base/parallel.h"
#include "lambdaml/model/kmeans_centroids.h"
#include "lambdaml/train/kmeans_rows.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Rounds of sampling of k-means||, and candidates wanted in each, per cluster (Bahmani et al. 2012,
// section 5: 5 rounds and 2k find what more of either find).
inline constexpr int64_t kParallelRounds = 5;
inline constexpr int64_t kOversampling = 2;

// k rows, the same on every rank; k <= rows of all ranks.
//
//   first        the first k rows. One round.
//   random       k different rows, all sets equally likely. One round.
//   k-means++    each row with probability D²/Σ D², D the distance to the nearest one chosen so far
//                (Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding").
//                k rounds, of one row from each rank: the winner of the race E/D², E
//                exponentially distributed, has that probability.
//   k-means||    in each of 5 rounds, every row with probability 2k·D²/Σ D² (Bahmani et al. 2012,
//                "Scalable k-means++"); k-means++ chooses among them on every rank, weighted with
//                the rows nearest to each. 13 rounds at most, whatever k; memory for about 10·k
//                rows.
//
// With fewer than k different rows some are chosen more than once, and their clusters stay empty.
model::Centroids InitialCentroids(const RowExchange& rows, wire::KmeansInit init, int64_t k,
                                  uint64_t seed, base::ThreadPool& pool);

}  // namespace lambdaml::train
