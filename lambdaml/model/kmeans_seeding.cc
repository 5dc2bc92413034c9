#include "lambdaml/model/kmeans_seeding.h"

#include <algorithm>
#include <fmt/format.h>
#include <limits>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/model/kmeans_assigner.h"
#include "lambdaml/model/kmeans_distance.h"

namespace lambdaml::model {
namespace {

constexpr int64_t kBlockRows = 1024;

template <typename Use>
void ForEachRow(int64_t rows, base::ThreadPool& pool, const Use& use) {
  pool.ForEachBlock(static_cast<size_t>((rows + kBlockRows - 1) / kBlockRows), [&](size_t b) {
    const int64_t begin = static_cast<int64_t>(b) * kBlockRows;
    for (int64_t r = begin; r < std::min(begin + kBlockRows, rows); ++r) use(r);
  });
}

}  // namespace

NearestCentres::NearestCentres(data::Dataset dataset, base::ThreadPool& pool)
    : dataset_(std::move(dataset)),
      pool_(pool),
      squared_(static_cast<size_t>(dataset_.rows()), std::numeric_limits<double>::infinity()),
      nearest_(static_cast<size_t>(dataset_.rows()), -1) {
  centres_.n_features = dataset_.n_features();
}

NearestCentres::~NearestCentres() = default;

void NearestCentres::Add(const Centroids& centres) {
  CheckCentroids(centres, "centres");
  if (centres.n_features != centres_.n_features) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("the centres have {} features, the data {}", centres.n_features,
                                  centres_.n_features));
  }
  if (centres.k == 1) {
    AddOne(centres.row(0));
  } else {
    AddSeveral(centres);
  }
  centres_.values.insert(centres_.values.end(), centres.values.begin(), centres.values.end());
  centres_.k += centres.k;
}

void NearestCentres::Offer(int64_t row, const float* centre, int64_t number) {
  const double distance = SquaredDistance(dataset_, row, centre);
  double& nearest = squared_[static_cast<size_t>(row)];
  if (distance >= nearest) return;
  nearest = distance;
  nearest_[static_cast<size_t>(row)] = static_cast<int32_t>(number);
}

// With a the nearest centre of x so far: if ‖c − a‖ >= 2·‖x − a‖ then ‖x − c‖ >= ‖x − a‖.
void NearestCentres::AddOne(const float* centre) {
  // Covers the roundings of the three distances.
  constexpr double kFactor = 4 * (1 + 1e-9);
  std::vector<double> to_centres(static_cast<size_t>(centres_.k));
  ForEachRow(centres_.k, pool_, [&](int64_t c) {
    to_centres[static_cast<size_t>(c)] =
        SquaredDistance(centre, centres_.row(c), centres_.n_features);
  });
  ForEachRow(dataset_.rows(), pool_, [&](int64_t r) {
    const int32_t nearest = nearest_[static_cast<size_t>(r)];
    const bool is_far = nearest >= 0 && to_centres[static_cast<size_t>(nearest)] >=
                                            kFactor * squared_[static_cast<size_t>(r)];
    if (!is_far) Offer(r, centre, centres_.k);
  });
}

void NearestCentres::AddSeveral(const Centroids& centres) {
  if (!assigner_) {
    assigner_ = std::make_unique<kmeans::Assigner>(dataset_, pool_, kmeans::Pruning::kNever,
                                                   kmeans::BestKernels());
  }
  std::vector<int32_t> nearest(static_cast<size_t>(dataset_.rows()));
  assigner_->AssignRange({0, dataset_.rows()}, centres, nearest);
  ForEachRow(dataset_.rows(), pool_, [&](int64_t r) {
    const int32_t c = nearest[static_cast<size_t>(r)];
    Offer(r, centres.row(c), centres_.k + c);
  });
}

}  // namespace lambdaml::model
