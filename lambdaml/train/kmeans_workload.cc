#include "lambdaml/train/kmeans_workload.h"

#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/model/kmeans_model_file.h"
#include "lambdaml/model/kmeans_shard.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/job_data.h"
#include "lambdaml/train/kmeans_evaluation.h"
#include "lambdaml/train/kmeans_init.h"
#include "lambdaml/train/kmeans_lloyd.h"
#include "lambdaml/train/kmeans_mini_batch.h"
#include "lambdaml/train/shards.h"

namespace lambdaml::train {
namespace {

constexpr std::array<std::string_view, 17> kForeignOptions = {
    "n_classes", "valid_ratio", "bias",    "optim",         "lr",      "lr_schedule",
    "momentum",  "regularizer", "lambda",  "n_admm_epochs", "rho",     "local_solver",
    "tolerance", "patience",    "augment", "keep",          "exchange"};

constexpr int64_t kLloydEpochs = 300;  // as scikit-learn's max_iter
constexpr int64_t kMiniBatchEpochs = 10;

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

bool IsMiniBatch(const wire::Job& job) { return job.batch_size.value_or(0) > 0; }

void Resolve(wire::Job& job) {
  if (!job.n_clusters && job.init_model.empty()) {
    Refuse("--model kmeans needs --n_clusters K");
  }
  if (job.init && !job.init_model.empty()) {
    Refuse("--init and --init_model both say where the centroids begin: give one of them");
  }
  if (job.sync_mode == wire::SyncMode::kAsync && !IsMiniBatch(job)) {
    Refuse(
        "--model kmeans with --sync_mode async merges mini-batches: give --batch_size as well, or "
        "--sync_mode reduce");
  }
  // A LambdaML payload means what LambdaML does. Else: as good as k-means++, in a number of rounds
  // that does not grow with k.
  if (!job.init) {
    job.init = job.data_bucket.empty() ? wire::KmeansInit::kParallel : wire::KmeansInit::kFirst;
  }
  // A distance depends on the data's scale, so none is a sensible default but that of a standstill.
  if (!job.threshold) job.threshold = 0;
  if (!job.n_epochs) job.n_epochs = IsMiniBatch(job) ? kMiniBatchEpochs : kLloydEpochs;
}

model::Centroids LoadInitialCentroids(const std::string& place) {
  return model::ParseCentroids(place::Read(place).span(), place);
}

class KmeansTrigger final : public TriggerWorkload {
 public:
  uint64_t Open(wire::Job& job) override {
    data_ = OpenJobData(job);
    if (!job.test.empty()) {
      test_ = place::LoadData(job.test, {.index_base = static_cast<int>(job.index_base)});
      test_name_ = job.test;
    }
    const bool is_split = !data_.dataset.has_value();
    const int64_t rows = is_split ? data_.manifest.rows : data_.dataset->rows();
    n_features_ = is_split ? data_.manifest.n_features : data_.dataset->n_features();
    if (!job.init_model.empty()) OpenInitialCentroids(job);
    if (*job.n_clusters > rows) {
      Refuse(fmt::format("--n_clusters {}: {} has only {} rows", *job.n_clusters, job.data, rows));
    }
    if (test_ && test_->n_features() > n_features_) {
      Refuse(fmt::format("--test {} has {} features, the data {}; give --n_features {}", job.test,
                         test_->n_features(), n_features_, test_->n_features()));
    }
    // Contributions and sums of the rounds that a channel holds at the same time.
    const auto round_bytes =
        static_cast<uint64_t>(*job.n_clusters) * static_cast<uint64_t>(n_features_ + 1) * 8;
    return data_.bytes_needed + 4 * static_cast<uint64_t>(job.n_workers) * round_bytes;
  }

  void Place(const std::string& folder, wire::Job& job) override {
    PlaceShards(std::move(data_), RowOrder::kKept, folder, job);
  }

  void Describe(const wire::Job& job, report::RunSummary& summary) const override {
    summary.objective = report::Objective::kInertia;
    summary.optim = IsMiniBatch(job) ? "mini_batch" : "lloyd";
    summary.regularizer = "none";
    summary.n_features = n_features_;
  }

  base::Blob OutputOf(const wire::Job& job, const base::Blob& model) const override {
    if (place::NameOf(job.output).ends_with(".npy")) return model;
    const model::Centroids centroids = model::ParseCentroids(model.span(), "trained centroids");
    return base::Blob::Copy(base::AsBytes(model::FormatCentroidsText(centroids)));
  }

  void Evaluate(const base::Blob& model, report::RunSummary& summary) const override {
    if (!test_) return;
    summary.test_loss =
        ClusterRows(model::ParseCentroids(model.span(), "trained centroids"), *test_, test_name_)
            .inertia;
  }

 private:
  void OpenInitialCentroids(wire::Job& job) const {
    const model::Centroids initial = LoadInitialCentroids(job.init_model);
    if (job.n_clusters.value_or(initial.k) != initial.k) {
      Refuse(fmt::format("--n_clusters {}: {} has {} centroids", *job.n_clusters, job.init_model,
                         initial.k));
    }
    if (initial.n_features != n_features_) {
      Refuse(fmt::format("--init_model {}: it has {} features, the data {}", job.init_model,
                         initial.n_features, n_features_));
    }
    job.n_clusters = initial.k;
    if (place::IsLocal(job.init_model)) {
      job.init_model = std::filesystem::absolute(place::PathOf(job.init_model));
    }
  }

  JobData data_;
  std::optional<data::Dataset> test_;
  std::string test_name_;
  int64_t n_features_ = 0;
};

class KmeansWorker final : public WorkerWorkload {
 public:
  KmeansWorker(const wire::Job& job, base::ThreadPool& pool) : job_(job), pool_(pool) {}

  int64_t Load(store::Store& data, const base::Deadline& deadline) override {
    const data::Manifest manifest = LoadManifest(data, deadline);
    rows_ = LoadRows(data, manifest, job_, deadline);
    numbers_.emplace(manifest, job_.worker_index, job_.n_workers);
    return rows_.rows();
  }

  std::optional<WorkloadResult> Train(
      Peers& peers, Generation& generation,
      const std::function<void(const report::EpochRecord&)>& on_epoch) override {
    const RowExchange rows(rows_, *numbers_, peers.communicator());
    const KmeansOptions options = {.epochs_max = *job_.n_epochs,
                                   .threshold = *job_.threshold,
                                   .communicating = [&] { return peers.communicating(); },
                                   .on_epoch = on_epoch};
    const std::optional<KmeansResult> result = Run(rows, peers, generation, options);
    if (!result) return std::nullopt;
    WorkloadResult finished;
    finished.outcome = OutcomeOf(*result);
    if (job_.worker_index == 0) finished.model = model::FormatCentroidsNpy(result->centroids);
    return finished;
  }

 private:
  std::optional<KmeansResult> Run(const RowExchange& rows, Peers& peers, Generation& generation,
                                  const KmeansOptions& options) {
    const auto seed = static_cast<uint64_t>(job_.seed);
    const KmeansStart start = [&] {
      return job_.init_model.empty()
                 ? InitialCentroids(rows, *job_.init, *job_.n_clusters, seed, pool_)
                 : LoadInitialCentroids(job_.init_model);
    };
    if (!IsMiniBatch(job_)) {
      model::KMeansShard shard(rows_, pool_);
      return RunLloyd(shard, rows, start, generation, options);
    }
    MiniBatchOptions mini_batch = {.batch_size = *job_.batch_size, .seed = seed};
    if (job_.sync_mode == wire::SyncMode::kAsync) {
      mini_batch.shared =
          &peers.MakeSharedModel(SharedModelSize(*job_.n_clusters, rows_.n_features()));
    }
    return RunMiniBatch(rows, start, generation, options, mini_batch, pool_);
  }

  TrainingOutcome OutcomeOf(const KmeansResult& result) const {
    TrainingOutcome outcome = {
        .epochs = result.epochs,
        .stopped_by = result.stopped_by,
        .loss = result.inertia,
        .details = {{"initial_inertia", result.initial_inertia}, {"movement", result.movement}},
        .cluster_sizes = result.cluster_sizes};
    if (!IsMiniBatch(job_)) {
      outcome.details.emplace_back("reseeded", static_cast<double>(result.reseeded));
    }
    return outcome;
  }

  const wire::Job& job_;
  base::ThreadPool& pool_;
  data::Dataset rows_;
  std::optional<RowNumbers> numbers_;
};

}  // namespace

const Workload kKmeansWorkload = {
    .foreign_options = kForeignOptions,
    .resolve = Resolve,
    .epochs_max = [](const wire::Job& job) { return *job.n_epochs; },
    .output_suffix = ".npy",
    .at_trigger = []() -> std::unique_ptr<TriggerWorkload> {
      return std::make_unique<KmeansTrigger>();
    },
    .at_worker = [](const wire::Job& job, base::ThreadPool& pool)
        -> std::unique_ptr<WorkerWorkload> { return std::make_unique<KmeansWorker>(job, pool); }};

}  // namespace lambdaml::train
