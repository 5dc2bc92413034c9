#include "lambdaml/train/kmeans_lloyd.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace lambdaml::train {
namespace {

class Lloyd {
 public:
  Lloyd(model::KMeansShard& shard, const RowExchange& rows, Generation& generation,
        const KmeansOptions& options)
      : shard_(shard), rows_(rows), generation_(generation), options_(options) {}

  std::optional<KmeansResult> Run(const KmeansStart& start) {
    const StateVisitor visit = [this](wire::RankState& state) { VisitState(state.shared); };
    if (generation_.has_state()) {
      generation_.Restore(visit);
      StartEpoch();
      // The rows' clusters are no part of the state: they follow from the centroids.
      shard_.Assign(result_.centroids, {}, {});
    } else {
      result_.centroids = start();
      MakeStep();
      StartEpoch();
      Assign();
      result_.initial_inertia = result_.inertia;
    }
    while (result_.stopped_by.empty()) {
      if (!generation_.GoesOn(result_.epochs, result_.epochs > 0, visit)) return std::nullopt;
      Update();
      if (!result_.stopped_by.empty()) break;
      Assign();
      ++result_.epochs;
      Report();
      if (options_.threshold > 0 && result_.movement <= options_.threshold) {
        result_.stopped_by = "threshold";
      } else if (result_.epochs == options_.epochs_max) {
        result_.stopped_by = "n_epochs";
      }
    }
    result_.cluster_sizes = step_.counts();
    return std::move(result_);
  }

 private:
  static base::TimePoint Now() { return base::SystemClock().Now(); }

  void VisitState(wire::State& shared) {
    result_.VisitState(shared);
    shared.Visit("reseeded_last", reseeded_);
    if (!shared.is_saving()) MakeStep();
    step_.VisitState(shared);
  }

  void MakeStep() { step_ = ClusterSums(result_.centroids.k, result_.centroids.n_features); }

  void StartEpoch() {
    epoch_start_ = Now();
    communicated_ = options_.communicating();
  }

  // Sums, counts, inertia and changes of all ranks at the present centroids.
  void Assign() {
    const model::AssignStats mine = shard_.Assign(result_.centroids, step_.sums(), step_.counts());
    step_.measure(ClusterSums::kInertia) = mine.inertia;
    step_.measure(ClusterSums::kChanged) = static_cast<double>(mine.changed_rows);
    step_.AddOverRanks(rows_.peers());
    result_.inertia = step_.measure(ClusterSums::kInertia);
  }

  // No row has changed its cluster.
  bool IsSettled() { return step_.measure(ClusterSums::kChanged) == 0; }

  std::vector<int64_t> EmptyClusters() const {
    std::vector<int64_t> empty;
    for (int64_t c = 0; c < step_.k(); ++c) {
      if (step_.counts()[static_cast<size_t>(c)] == 0) empty.push_back(c);
    }
    return empty;
  }

  // The next centroids, or the end if they would be the present ones.
  void Update() {
    const std::vector<int64_t> empty = EmptyClusters();
    const std::vector<std::vector<float>> seeds =
        empty.empty() ? std::vector<std::vector<float>>() : FarthestRows(empty.size());
    if (IsSettled() && seeds.empty()) {
      result_.stopped_by = "convergence";
      return;
    }
    model::Centroids next = result_.centroids;
    for (int64_t c = 0; c < step_.k(); ++c) {
      const int64_t count = step_.counts()[static_cast<size_t>(c)];
      if (count == 0) continue;
      for (int64_t j = 0; j < step_.n_features(); ++j) {
        next.row(c)[j] = static_cast<float>(step_.sum(c, j) / static_cast<double>(count));
      }
    }
    for (size_t i = 0; i < seeds.size(); ++i) {
      std::copy(seeds[i].begin(), seeds[i].end(), next.row(empty[i]));
    }
    reseeded_ = static_cast<int64_t>(seeds.size());
    result_.reseeded += reseeded_;
    result_.movement = Movement(result_.centroids, next);
    result_.centroids = std::move(next);
  }

  // Up to `count` different rows of all ranks that are farthest from their centroids.
  std::vector<std::vector<float>> FarthestRows(size_t count) {
    std::vector<OfferedRow> offered;
    for (const model::FarRow& far :
         shard_.FarthestRows(result_.centroids, static_cast<int64_t>(count))) {
      if (far.squared_distance > 0) offered.push_back({far.row, far.squared_distance});
    }
    const GatheredRows far = rows_.Gather(offered);
    std::vector<int64_t> order(far.keys.size());
    std::iota(order.begin(), order.end(), int64_t{0});
    // Stable: of equally far rows the lowest number stays first.
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return far.keys[static_cast<size_t>(a)] > far.keys[static_cast<size_t>(b)];
    });
    std::vector<std::vector<float>> chosen;
    for (const int64_t i : order) {
      if (chosen.size() == count) break;
      std::vector<float> row(far.rows.row(i), far.rows.row(i) + far.rows.n_features);
      if (std::find(chosen.begin(), chosen.end(), row) == chosen.end()) {
        chosen.push_back(std::move(row));
      }
    }
    return chosen;
  }

  void Report() {
    const double seconds = base::Seconds(Now() - epoch_start_);
    const base::Duration communicated = options_.communicating();
    report::EpochRecord record = {.epoch = result_.epochs,
                                  .objective = report::Objective::kInertia,
                                  .loss = result_.inertia,
                                  .seconds = seconds,
                                  .cluster_sizes = step_.counts()};
    if (seconds > 0) record.sync_share = base::Seconds(communicated - communicated_) / seconds;
    record.extra = {{"movement", result_.movement},
                    {"changed", step_.measure(ClusterSums::kChanged)},
                    {"empty", static_cast<double>(EmptyClusters().size())},
                    {"reseeded", static_cast<double>(reseeded_)}};
    options_.on_epoch(record);
    StartEpoch();
  }

  model::KMeansShard& shard_;
  const RowExchange& rows_;
  Generation& generation_;
  const KmeansOptions& options_;
  ClusterSums step_{0, 0};  // at the present centroids
  KmeansResult result_;
  int64_t reseeded_ = 0;  // in the last update
  base::TimePoint epoch_start_;
  base::Duration communicated_{};  // at the epoch's start
};

}  // namespace

std::optional<KmeansResult> RunLloyd(model::KMeansShard& shard, const RowExchange& rows,
                                     const KmeansStart& start, Generation& generation,
                                     const KmeansOptions& options) {
  return Lloyd(shard, rows, generation, options).Run(start);
}

}  // namespace lambdaml::train
