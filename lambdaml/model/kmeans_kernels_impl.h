// The kernels of kmeans_kernels.h as templates over an instruction set. Included by the files that
// name one, each of which is compiled for it; everything here has internal linkage for that reason,
// and calls nothing that has not.
//
// Isa: kLanes, kBlocksMax (lane blocks whose sums stay in registers), kCountMax (centroids of
// them);
//      F, I, Mask; Load, LoadPartial, Store, Set, FMA, Sub, Add, Min, Max, Less, NotGreater, SetI,
//      LoadI, StoreI, Select(mask, a, b), Bits(mask), Transpose(F (&)[kLanes]).
#pragma once

#include "lambdaml/model/kmeans_kernels.h"

namespace lambdaml::model::kmeans {
namespace {

template <typename Isa>
struct KernelsOf {
  using F = typename Isa::F;
  static constexpr int kLanes = Isa::kLanes;
  static constexpr int kVectors = kLaneRows / kLanes;  // of a lane block

  // sums[i][v] = Σ_j x[j][v] · c[j][i]
  template <int kBlocks, int kCount>
  static void Products(const float* x, const float* c, int64_t n_features,
                       F (&total)[kCount][kBlocks * kVectors]) {
    constexpr int kAll = kBlocks * kVectors;
    const int64_t chains = (n_features + kChainColumns - 1) / kChainColumns;
    for (int64_t chain = 0; chain < chains; ++chain) {
      const int64_t begin = n_features * chain / chains;
      const int64_t end = n_features * (chain + 1) / chains;
      F sum[kCount][kAll];
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < kAll; ++v) sum[i][v] = Isa::Set(0);
      }
      for (int64_t j = begin; j < end; ++j) {
        F values[kAll];
#pragma GCC unroll 8
        for (int v = 0; v < kAll; ++v) {
          values[v] = Isa::Load(x + (v / kVectors) * n_features * kLaneRows + j * kLaneRows +
                                (v % kVectors) * kLanes);
        }
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          const F coordinate = Isa::Set(c[j * kBlockCentroids + i]);
#pragma GCC unroll 8
          for (int v = 0; v < kAll; ++v) sum[i][v] = Isa::FMA(values[v], coordinate, sum[i][v]);
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < kCount; ++i) {
#pragma GCC unroll 8
        for (int v = 0; v < kAll; ++v) {
          total[i][v] = chain == 0 ? sum[i][v] : Isa::Add(total[i][v], sum[i][v]);
        }
      }
    }
  }

  // The two smallest of kLanes rows.
  struct Lanes {
    F best;
    F second;
    typename Isa::I index;

    Lanes(const Smallest& from, int64_t at)
        : best(Isa::Load(from.best + at)),
          second(Isa::Load(from.second + at)),
          index(Isa::LoadI(from.index + at)) {}
    void Fold(F score, int64_t centroid) {
      const auto less = Isa::Less(score, best);
      second = Isa::Min(second, Isa::Max(score, best));
      best = Isa::Min(score, best);
      index = Isa::Select(less, Isa::SetI(static_cast<int32_t>(centroid)), index);
    }
    void Save(const Smallest& to, int64_t at) const {
      Isa::Store(to.best + at, best);
      Isa::Store(to.second + at, second);
      Isa::StoreI(to.index + at, index);
    }
  };

  static void AppendHits(F score, F threshold, int64_t row, int64_t centroid, Hits* hits) {
    uint32_t bits = Isa::Bits(Isa::NotGreater(score, threshold));
    for (; bits != 0; bits &= bits - 1) {
      hits->hits[hits->count++] = {static_cast<int32_t>(row) + __builtin_ctz(bits),
                                   static_cast<int32_t>(centroid)};
    }
  }

  // What is done with the scores: exactly one of the two is given.
  struct Sink {
    const Smallest* smallest = nullptr;
    const float* threshold = nullptr;
    Hits* hits = nullptr;
  };

  // kCount centroids from `first` on, of which those before centroids.end count.
  template <int kBlocks, int kCount>
  static void ScoreBlocks(const float* x, int64_t row, const CentroidRange& centroids,
                          int64_t first, const Sink& sink) {
    constexpr int kAll = kBlocks * kVectors;
    const int64_t block = first / kBlockCentroids;
    const float* c =
        centroids.values + block * kBlockCentroids * centroids.n_features + first % kBlockCentroids;
    F products[kCount][kAll];
    if (centroids.n_features == 0) {
      for (auto& row_products : products) {
        for (F& product : row_products) product = Isa::Set(0);
      }
    }
    Products<kBlocks, kCount>(x + row * centroids.n_features, c, centroids.n_features, products);
    for (int v = 0; v < kAll; ++v) {
      const int64_t at = row + v * kLanes;
      if (sink.smallest != nullptr) {
        Lanes lanes(*sink.smallest, at);
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          lanes.Fold(Isa::Sub(Isa::Set(centroids.h[first + i]), products[i][v]), first + i);
        }
        lanes.Save(*sink.smallest, at);
      } else {
        const F threshold = Isa::Load(sink.threshold + at);
        for (int i = 0; i < kCount; ++i) {
          AppendHits(Isa::Sub(Isa::Set(centroids.h[first + i]), products[i][v]), threshold, at,
                     first + i, sink.hits);
        }
      }
    }
  }

  template <int kCount>
  static void ScoreCentroids(const float* x, int lane_blocks, const CentroidRange& centroids,
                             int64_t first, const Sink& sink) {
    int block = 0;
    const auto row = [&] { return int64_t{block} * kLaneRows; };
    if constexpr (Isa::kBlocksMax == 3) {
      for (; block + 3 <= lane_blocks; block += 3) {
        ScoreBlocks<3, kCount>(x, row(), centroids, first, sink);
      }
      if (block + 2 == lane_blocks) {
        ScoreBlocks<2, kCount>(x, row(), centroids, first, sink);
        return;
      }
    }
    for (; block < lane_blocks; ++block) {
      ScoreBlocks<1, kCount>(x, row(), centroids, first, sink);
    }
  }

  static void ScoreDense(const float* x, int lane_blocks, const CentroidRange& centroids,
                         const Sink& sink) {
    for (int64_t c = centroids.begin; c < centroids.end;) {
      const int64_t left = centroids.end - c;
      if (left > 4 && Isa::kCountMax == 8) {
        ScoreCentroids<Isa::kCountMax>(x, lane_blocks, centroids, c, sink);
        c += 8;
      } else if (left > 2) {
        ScoreCentroids<4>(x, lane_blocks, centroids, c, sink);
        c += 4;
      } else {
        ScoreCentroids<2>(x, lane_blocks, centroids, c, sink);
        c += 2;
      }
    }
  }

  static void ScanDense(const float* x, int lane_blocks, const CentroidRange& centroids,
                        const Smallest& smallest) {
    ScoreDense(x, lane_blocks, centroids, {&smallest, nullptr, nullptr});
  }

  static void CollectDense(const float* x, int lane_blocks, const CentroidRange& centroids,
                           const float* threshold, Hits* hits) {
    ScoreDense(x, lane_blocks, centroids, {nullptr, threshold, hits});
  }

  static void PackRows(const float* const* rows, int count, int64_t n_features, const float* shift,
                       float* to) {
    const auto row = [&](int lane) { return rows[lane < count ? lane : count - 1]; };
    for (int64_t j = 0; j < n_features; j += kLanes) {
      const int columns = static_cast<int>(n_features - j < kLanes ? n_features - j : kLanes);
      if (columns == kLanes) {
        PackColumns<true>(row, j, columns, shift, to);
      } else {
        PackColumns<false>(row, j, columns, shift, to);
      }
    }
  }

  // At most kLanes columns from j on.
  template <bool kFull, typename Row>
  static void PackColumns(const Row& row, int64_t j, int columns, const float* shift, float* to) {
    const auto load = [&](const float* from) {
      return kFull ? Isa::Load(from) : Isa::LoadPartial(from, columns);
    };
    const F by = load(shift + j);
    for (int first = 0; first < kLaneRows; first += kLanes) {
      F tile[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) tile[i] = Isa::Sub(load(row(first + i) + j), by);
      Isa::Transpose(tile);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        if (kFull || i < columns) Isa::Store(to + (j + i) * kLaneRows + first, tile[i]);
      }
    }
  }

  // products[i] = Σ x_j · c_j of kPanelCentroids centroids and one row.
  template <int kCount>
  static void SparseProducts(const SparseBatch& batch, int64_t row, const float* panel,
                             float* products) {
    constexpr int kAll = kCount / kLanes;
    // Few sums wait for one another: two of each then, of every other non-zero.
    constexpr int kChains = kAll <= 2 ? 2 : 1;
    F sum[kChains][kAll];
#pragma GCC unroll 8
    for (int v = 0; v < kChains * kAll; ++v) sum[v / kAll][v % kAll] = Isa::Set(0);
    const auto add = [&](int64_t i, F(&to)[kAll]) {
      const F value = Isa::Set(batch.values[i]);
      const float* coordinates = panel + int64_t{batch.columns[i]} * kCount;
#pragma GCC unroll 8
      for (int v = 0; v < kAll; ++v) {
        to[v] = Isa::FMA(value, Isa::Load(coordinates + v * kLanes), to[v]);
      }
    };
    const int64_t end = batch.row_offsets[row + 1];
    int64_t i = batch.row_offsets[row];
    for (; i + kChains <= end; i += kChains) {
      add(i, sum[0]);
      if constexpr (kChains == 2) add(i + 1, sum[1]);
    }
    if (i < end) add(i, sum[0]);
#pragma GCC unroll 8
    for (int v = 0; v < kAll; ++v) {
      if constexpr (kChains == 2) sum[0][v] = Isa::Add(sum[0][v], sum[1][v]);
      Isa::Store(products + v * kLanes, sum[0][v]);
    }
  }

  template <int kCount>
  static void ScoreSparse(const SparseBatch& batch, const CentroidRange& centroids,
                          const Sink& sink) {
    const float* panel = centroids.values + centroids.begin * centroids.n_features;
    alignas(64) float products[kLanes * kPanelCentroids];
    for (int row = 0; row < batch.count; row += kLanes) {
      for (int i = 0; i < kLanes; ++i) {
        const int at = row + i < batch.count ? row + i : batch.count - 1;
        SparseProducts<kCount>(batch, batch.rows[at], panel, products + i * kPanelCentroids);
      }
      for (int first = 0; first < kCount; first += kLanes) {
        F tile[kLanes];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes; ++i) {
          tile[i] = Isa::Load(products + i * kPanelCentroids + first);
        }
        Isa::Transpose(tile);
        const int64_t centroid = centroids.begin + first;
        if (sink.smallest != nullptr) {
          Lanes lanes(*sink.smallest, row);
#pragma GCC unroll 16
          for (int i = 0; i < kLanes; ++i) {
            lanes.Fold(Isa::Sub(Isa::Set(centroids.h[centroid + i]), tile[i]), centroid + i);
          }
          lanes.Save(*sink.smallest, row);
        } else {
          const F threshold = Isa::Load(sink.threshold + row);
          for (int i = 0; i < kLanes; ++i) {
            AppendHits(Isa::Sub(Isa::Set(centroids.h[centroid + i]), tile[i]), threshold, row,
                       centroid + i, sink.hits);
          }
        }
      }
    }
  }

  static void ScorePanel(const SparseBatch& batch, const CentroidRange& centroids,
                         const Sink& sink) {
    if (centroids.end - centroids.begin <= kPanelCentroids / 4) {
      ScoreSparse<kPanelCentroids / 4>(batch, centroids, sink);
    } else {
      ScoreSparse<kPanelCentroids>(batch, centroids, sink);
    }
  }

  static void ScanSparse(const SparseBatch& batch, const CentroidRange& centroids,
                         const Smallest& smallest) {
    ScorePanel(batch, centroids, {&smallest, nullptr, nullptr});
  }

  static void CollectSparse(const SparseBatch& batch, const CentroidRange& centroids,
                            const float* threshold, Hits* hits) {
    ScorePanel(batch, centroids, {nullptr, threshold, hits});
  }

  static constexpr Kernels Table(const char* name) {
    return {name, PackRows, ScanDense, CollectDense, ScanSparse, CollectSparse};
  }
};

}  // namespace
}  // namespace lambdaml::model::kmeans
