#include "lambdaml/train/kmeans_mini_batch.h"

#include <algorithm>
#include <utility>

#include "lambdaml/base/random.h"
#include "lambdaml/data/select.h"
#include "lambdaml/model/kmeans_shard.h"

namespace lambdaml::train {
namespace {

class MiniBatch {
 public:
  MiniBatch(const RowExchange& rows, model::Centroids initial, const KmeansOptions& options,
            const MiniBatchOptions& mini_batch, base::ThreadPool& pool)
      : rows_(rows),
        options_(options),
        mini_batch_(mini_batch),
        pool_(pool),
        batch_(initial.k, initial.n_features),
        totals_(SharedModelSize(initial.k, initial.n_features), 0.0) {
    result_.centroids = std::move(initial);
    if (mini_batch_.shared == nullptr) return;
    change_.assign(totals_.size(), 0.0F);
    shared_totals_.assign(totals_.size(), 0.0F);
    mini_batch_.shared->Join(shared_totals_);
  }

  KmeansResult Run() {
    result_.initial_inertia = EvaluateAll();
    result_.stopped_by = "n_epochs";
    while (result_.epochs < options_.epochs_max) {
      const model::Centroids before = result_.centroids;
      RunEpoch(before);
      const bool synchronous = mini_batch_.shared == nullptr;
      if (synchronous && options_.threshold > 0 && result_.movement <= options_.threshold) {
        result_.stopped_by = "threshold";
        break;
      }
    }
    if (mini_batch_.shared != nullptr) {
      rows_.peers().AllReduceSum({}, {});  // nobody changes the shared model any more
      mini_batch_.shared->Join(shared_totals_);
      TakeShared();
    }
    result_.inertia = EvaluateAll();
    result_.cluster_sizes = batch_.counts();
    return std::move(result_);
  }

 private:
  static base::TimePoint Now() { return base::SystemClock().Now(); }

  // Steps of one epoch: those of the rank with most rows, so that every rank takes part in every
  // round. Asynchronous ranks go on their own.
  int64_t StepCount() const {
    const int64_t rows =
        mini_batch_.shared == nullptr ? rows_.numbers().max() : rows_.numbers().count();
    return (rows + mini_batch_.batch_size - 1) / mini_batch_.batch_size;
  }

  void RunEpoch(const model::Centroids& before) {
    const base::TimePoint start = Now();
    const base::Duration communicated = options_.communicating();
    const uint64_t epoch_seed =
        base::MixSeed(mini_batch_.seed, static_cast<uint64_t>(result_.epochs));
    const std::vector<int64_t> order =
        base::Permutation(rows_.numbers().count(),
                          base::MixSeed(epoch_seed, static_cast<uint64_t>(rows_.peers().rank())));
    double inertia = 0;
    for (int64_t step = 0; step < StepCount(); ++step) {
      const size_t begin =
          std::min(order.size(), static_cast<size_t>(step * mini_batch_.batch_size));
      const size_t size =
          std::min(order.size() - begin, static_cast<size_t>(mini_batch_.batch_size));
      inertia += Step(std::span(order).subspan(begin, size));
    }
    ++result_.epochs;
    result_.movement = Movement(before, result_.centroids);
    Report(inertia, base::Seconds(Now() - start),
           base::Seconds(options_.communicating() - communicated));
  }

  // One step with these rows; returns their inertia (of all ranks' where synchronous).
  double Step(std::span<const int64_t> rows) {
    model::KMeansShard shard(data::TakeRows(rows_.rows(), rows), pool_, {.prune = false});
    const model::AssignStats mine = shard.Assign(result_.centroids, batch_.sums(), batch_.counts());
    batch_.measure(ClusterSums::kInertia) = mine.inertia;
    batch_.measure(ClusterSums::kChanged) = 0;
    if (mini_batch_.shared != nullptr) {
      ForEachTotal([&](size_t i, double value) { change_[i] = static_cast<float>(value); });
      mini_batch_.shared->Merge(change_, shared_totals_);
      TakeShared();
      return mine.inertia;
    }
    batch_.AddOverRanks(rows_.peers());
    ForEachTotal([&](size_t i, double value) { totals_[i] += value; });
    UpdateCentroids();
    return batch_.measure(ClusterSums::kInertia);
  }

  // Calls use(i, value) with what the batch adds to each of the totals: S, then n.
  template <typename Use>
  void ForEachTotal(const Use& use) {
    size_t i = 0;
    for (const double sum : batch_.sums()) use(i++, sum);
    for (const int64_t count : batch_.counts()) use(i++, static_cast<double>(count));
  }

  void TakeShared() {
    std::copy(shared_totals_.begin(), shared_totals_.end(), totals_.begin());
    UpdateCentroids();
  }

  void UpdateCentroids() {
    model::Centroids& centroids = result_.centroids;
    const std::span<const double> counts =
        std::span(totals_).last(static_cast<size_t>(centroids.k));
    for (int64_t c = 0; c < centroids.k; ++c) {
      const double count = counts[static_cast<size_t>(c)];
      if (count == 0) continue;
      const double* const sums = totals_.data() + c * centroids.n_features;
      for (int64_t j = 0; j < centroids.n_features; ++j) {
        centroids.row(c)[j] = static_cast<float>(sums[j] / count);
      }
    }
  }

  // Assigns all rows of all ranks: the inertia; counts stay in batch_.
  double EvaluateAll() {
    model::KMeansShard shard(rows_.rows(), pool_, {.prune = false});
    batch_.measure(ClusterSums::kInertia) =
        shard.Assign(result_.centroids, batch_.sums(), batch_.counts()).inertia;
    batch_.AddOverRanks(rows_.peers());
    return batch_.measure(ClusterSums::kInertia);
  }

  void Report(double inertia, double seconds, double communicating_s) const {
    report::EpochRecord record = {.epoch = result_.epochs,
                                  .objective = report::Objective::kInertia,
                                  .loss = inertia,
                                  .seconds = seconds,
                                  .extra = {{"movement", result_.movement}}};
    if (seconds > 0) record.sync_share = communicating_s / seconds;
    options_.on_epoch(record);
  }

  const RowExchange& rows_;
  const KmeansOptions& options_;
  const MiniBatchOptions& mini_batch_;
  base::ThreadPool& pool_;
  ClusterSums batch_;                 // of the last step
  std::vector<double> totals_;        // S, then n
  std::vector<float> change_;         // asynchronous: what a step adds to them
  std::vector<float> shared_totals_;  // asynchronous: the shared model as last seen
  KmeansResult result_;
};

}  // namespace

size_t SharedModelSize(int64_t k, int64_t n_features) {
  return static_cast<size_t>(k * (n_features + 1));
}

KmeansResult RunMiniBatch(const RowExchange& rows, model::Centroids initial,
                          const KmeansOptions& options, const MiniBatchOptions& mini_batch,
                          base::ThreadPool& pool) {
  return MiniBatch(rows, std::move(initial), options, mini_batch, pool).Run();
}

}  // namespace lambdaml::train
