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
  MiniBatch(const RowExchange& rows, Generation& generation, const KmeansOptions& options,
            const MiniBatchOptions& mini_batch, base::ThreadPool& pool)
      : rows_(rows),
        generation_(generation),
        options_(options),
        mini_batch_(mini_batch),
        pool_(pool) {}

  std::optional<KmeansResult> Run(const KmeansStart& start) {
    const StateVisitor visit = [this](wire::RankState& state) { VisitState(state); };
    if (generation_.has_state()) {
      generation_.Restore(visit);
      JoinShared();
    } else {
      result_.centroids = start();
      MakeRoom();
      JoinShared();
      result_.initial_inertia = EvaluateAll();
      before_ = result_.centroids.values;
    }
    while (!stopping_ && result_.epochs < options_.epochs_max) {
      const bool epoch_ended = RunStep();
      if (!generation_.GoesOn(result_.epochs, epoch_ended, visit)) return std::nullopt;
    }
    if (!synchronous()) {
      // Until then somebody may change the shared model.
      const auto meet = [&] { rows_.peers().AllReduceSum({}, {}); };
      if (!generation_.Meet(result_.epochs, visit, meet)) return std::nullopt;
      mini_batch_.shared->Join(shared_totals_);
      TakeShared();
    }
    result_.stopped_by = stopping_ ? "threshold" : "n_epochs";
    result_.inertia = EvaluateAll();
    result_.cluster_sizes = batch_.counts();
    return std::move(result_);
  }

 private:
  static base::TimePoint Now() { return base::SystemClock().Now(); }

  bool synchronous() const { return mini_batch_.shared == nullptr; }

  void MakeRoom() {
    const model::Centroids& centroids = result_.centroids;
    batch_ = ClusterSums(centroids.k, centroids.n_features);
    totals_.assign(SharedModelSize(centroids.k, centroids.n_features), 0.0);
  }

  // A rank that is invoked again passes over the steps whose changes are in the shared model
  // already; what they measured is not known any more.
  void JoinShared() {
    if (synchronous()) return;
    change_.assign(totals_.size(), 0.0F);
    shared_totals_.assign(totals_.begin(), totals_.end());
    mini_batch_.shared->Join(shared_totals_);
    const uint64_t merges = mini_batch_.shared->own_merges();
    to_pass_over_ = std::max(merges, merges_) - merges_;
    merges_ = merges;
    if (merges > 0) TakeShared();
  }

  // Steps of one epoch: those of the rank with most rows, so that every rank takes part in every
  // round. Asynchronous ranks go on their own.
  int64_t StepCount() const {
    const int64_t rows = synchronous() ? rows_.numbers().max() : rows_.numbers().count();
    return (rows + mini_batch_.batch_size - 1) / mini_batch_.batch_size;
  }

  // Returns whether it was the last of its epoch.
  bool RunStep() {
    const base::TimePoint start = Now();
    const base::Duration communicated = options_.communicating();
    if (step_ < StepCount()) {
      const std::span<const int64_t> order = OrderOfEpoch();
      const size_t begin =
          std::min(order.size(), static_cast<size_t>(step_ * mini_batch_.batch_size));
      const size_t size =
          std::min(order.size() - begin, static_cast<size_t>(mini_batch_.batch_size));
      inertia_ += Step(order.subspan(begin, size));
      ++step_;
    }
    seconds_ += base::Seconds(Now() - start);
    communicating_s_ += base::Seconds(options_.communicating() - communicated);
    if (step_ < StepCount()) return false;
    EndEpoch();
    return true;
  }

  std::span<const int64_t> OrderOfEpoch() {
    if (order_epoch_ != result_.epochs) {
      const uint64_t epoch_seed =
          base::MixSeed(mini_batch_.seed, static_cast<uint64_t>(result_.epochs));
      order_ =
          base::Permutation(rows_.numbers().count(),
                            base::MixSeed(epoch_seed, static_cast<uint64_t>(rows_.peers().rank())));
      order_epoch_ = result_.epochs;
    }
    return order_;
  }

  void EndEpoch() {
    ++result_.epochs;
    const model::Centroids& centroids = result_.centroids;
    result_.movement = Movement({centroids.k, centroids.n_features, before_}, centroids);
    Report();
    stopping_ = synchronous() && options_.threshold > 0 && result_.movement <= options_.threshold;
    before_ = centroids.values;
    step_ = 0;
    inertia_ = seconds_ = communicating_s_ = 0;
  }

  void VisitState(wire::RankState& state) {
    result_.VisitState(state.shared);
    if (!state.shared.is_saving()) MakeRoom();
    state.shared.Visit("totals", std::span(totals_));
    state.shared.Visit("before", before_);
    state.shared.Visit("step", step_);
    state.shared.Visit("stopping", stopping_);
    state.shared.Visit("inertia_so_far", inertia_);
    state.own.Visit("seconds", seconds_);
    state.own.Visit("communicating", communicating_s_);
    state.own.Visit("merges", merges_);
  }

  // One step with these rows; returns their inertia (of all ranks' where synchronous).
  double Step(std::span<const int64_t> rows) {
    if (to_pass_over_ > 0) {
      --to_pass_over_;
      return 0;
    }
    model::KMeansShard shard(data::TakeRows(rows_.rows(), rows), pool_, {.prune = false});
    const model::AssignStats mine = shard.Assign(result_.centroids, batch_.sums(), batch_.counts());
    batch_.measure(ClusterSums::kInertia) = mine.inertia;
    batch_.measure(ClusterSums::kChanged) = 0;
    if (!synchronous()) {
      ForEachTotal([&](size_t i, double value) { change_[i] = static_cast<float>(value); });
      mini_batch_.shared->Merge(change_, shared_totals_);
      merges_ = mini_batch_.shared->own_merges();
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

  void Report() const {
    report::EpochRecord record = {.epoch = result_.epochs,
                                  .objective = report::Objective::kInertia,
                                  .loss = inertia_,
                                  .seconds = seconds_,
                                  .extra = {{"movement", result_.movement}}};
    if (seconds_ > 0) record.sync_share = communicating_s_ / seconds_;
    options_.on_epoch(record);
  }

  const RowExchange& rows_;
  Generation& generation_;
  const KmeansOptions& options_;
  const MiniBatchOptions& mini_batch_;
  base::ThreadPool& pool_;
  ClusterSums batch_{0, 0};           // of the last step
  std::vector<double> totals_;        // S, then n
  std::vector<float> change_;         // asynchronous: what a step adds to them
  std::vector<float> shared_totals_;  // asynchronous: the shared model as last seen
  uint64_t merges_ = 0;               // asynchronous: of this rank, in the shared model
  uint64_t to_pass_over_ = 0;         // asynchronous: steps whose merges are there already
  KmeansResult result_;
  bool stopping_ = false;
  std::vector<float> before_;  // the centroids at the present epoch's start
  int64_t step_ = 0;           // steps of the present epoch that are over
  double inertia_ = 0;         // of its rows so far
  double seconds_ = 0;
  double communicating_s_ = 0;
  int64_t order_epoch_ = -1;
  std::vector<int64_t> order_;  // of this rank's rows in that epoch
};

}  // namespace

size_t SharedModelSize(int64_t k, int64_t n_features) {
  return static_cast<size_t>(k * (n_features + 1));
}

std::optional<KmeansResult> RunMiniBatch(const RowExchange& rows, const KmeansStart& start,
                                         Generation& generation, const KmeansOptions& options,
                                         const MiniBatchOptions& mini_batch,
                                         base::ThreadPool& pool) {
  return MiniBatch(rows, generation, options, mini_batch, pool).Run(start);
}

}  // namespace lambdaml::train
