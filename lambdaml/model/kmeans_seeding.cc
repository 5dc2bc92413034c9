#include "lambdaml/model/kmeans_seeding.h"

#include <limits>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::model {

NearestCentres::NearestCentres(data::Dataset dataset, base::ThreadPool& pool)
    : dataset_(std::move(dataset)),
      pool_(pool),
      squared_(static_cast<size_t>(dataset_.rows()), std::numeric_limits<double>::infinity()),
      nearest_(static_cast<size_t>(dataset_.rows()), -1) {
  centres_.n_features = dataset_.n_features();
}

void NearestCentres::Add(const Centroids& centres) {
  CheckCentroids(centres, "centres");
  constexpr int64_t kBlockRows = 1024;
  const int64_t rows = dataset_.rows();
  pool_.ForEachBlock(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows), [&](size_t b) {
    const int64_t begin = static_cast<int64_t>(b) * kBlockRows;
    for (int64_t r = begin; r < std::min(begin + kBlockRows, rows); ++r) {
      for (int64_t c = 0; c < centres.k; ++c) {
        const double distance = SquaredDistance(dataset_, r, centres.row(c));
        if (distance >= squared_[static_cast<size_t>(r)]) continue;
        squared_[static_cast<size_t>(r)] = distance;
        nearest_[static_cast<size_t>(r)] = static_cast<int32_t>(centres_.k + c);
      }
    }
  });
  centres_.values.insert(centres_.values.end(), centres.values.begin(), centres.values.end());
  centres_.k += centres.k;
}

}  // namespace lambdaml::model
