// The inner loops of k-means: scores of many rows against many centroids, folded on the spot into
// the two smallest of each row.
//
//   score(x, c) = h_c − x·c        h_c = ‖c‖²/2, so that D(x, c) = ‖x‖² + 2·score(x, c)
//
// Rows are the lanes of the vectors. Dense rows are packed sixteen at a time, x[j * 16 + lane], so
// that a centroid's coordinate is broadcast and a fold needs no shuffles. Sparse rows take the
// centroids as lanes, and their scores are turned around before they are folded.
//
// There are two sets of kernels, of the build's instruction set and of AVX-512. Their scores differ
// in no bit (one order, fused multiply-adds), and no assignment would depend on it if they did.
#pragma once

#include <cstdint>

namespace lambdaml::model::kmeans {

// Rows that are packed together.
inline constexpr int kLaneRows = 16;
// Centroids of a block of dense centroids: block[j * kBlockCentroids + i].
inline constexpr int kBlockCentroids = 8;
// Centroids of a panel of sparse tables: panel[j * kPanelCentroids + i].
inline constexpr int kPanelCentroids = 64;
// Products of dense rows are summed up in chains of at most so many columns, the chains one after
// the other.
inline constexpr int64_t kChainColumns = 160;

// The two smallest scores of each row and where the smallest stands; arrays of a number of rows
// that is a multiple of kLaneRows, aligned to 64 bytes.
struct Smallest {
  float* best;
  float* second;   // of equal ones, the same as best
  int32_t* index;  // of one of the best; -1 where nothing was folded
};

// Pairs (row, centroid) whose score is at most the row's threshold.
struct Hit {
  int32_t row;
  int32_t index;
};

// Hits of one call to a collecting kernel, which are at most rows · kPanelCentroids.
struct Hits {
  Hit* hits;
  int64_t count;
};

// Centroids [begin, end) of a table; begin is a multiple of the block or panel.
struct CentroidRange {
  const float* values;  // the table's beginning
  const float* h;       // one per centroid; +inf for one that must not be found
  int64_t n_features;
  int64_t begin;
  int64_t end;
};

struct SparseBatch {
  const int64_t* row_offsets;  // of the whole data set
  const int32_t* columns;
  const float* values;
  const int64_t* rows;  // the batch's rows
  int count;
};

struct Kernels {
  const char* name;

  // Packs `count` (1 to 16) rows less a shift: to[j * 16 + lane] = rows[lane][j] − shift[j]. Lanes
  // beyond the last repeat it.
  void (*pack_rows)(const float* const* rows, int count, int64_t n_features, const float* shift,
                    float* to);

  // Folds the scores of packed rows into `smallest`. `lane_blocks` blocks of 16 rows, each of
  // 16 · n_features numbers, stand at x.
  void (*scan_dense)(const float* x, int lane_blocks, const CentroidRange& centroids,
                     const Smallest& smallest);
  // Appends the hits of one block of centroids (end - begin <= kBlockCentroids).
  void (*collect_dense)(const float* x, int lane_blocks, const CentroidRange& centroids,
                        const float* threshold, Hits* hits);

  // The same for sparse rows, one panel (end - begin <= kPanelCentroids).
  void (*scan_sparse)(const SparseBatch& batch, const CentroidRange& centroids,
                      const Smallest& smallest);
  void (*collect_sparse)(const SparseBatch& batch, const CentroidRange& centroids,
                         const float* threshold, Hits* hits);
};

// The kernels of the build's instruction set.
const Kernels& BaselineKernels();
// The fastest kernels this processor can run.
const Kernels& BestKernels();

}  // namespace lambdaml::model::kmeans
