#include "lambdaml/train/linear_workload.h"

#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/data/labels.h"
#include "lambdaml/model/linear_model_file.h"
#include "lambdaml/model/linear_objective.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/algorithm.h"
#include "lambdaml/train/evaluation.h"
#include "lambdaml/train/job_data.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/train/linear_defaults.h"
#include "lambdaml/train/local_solver.h"
#include "lambdaml/train/shards.h"
#include "lambdaml/train/step_size.h"
#include "lambdaml/train/trainer.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

constexpr std::array<std::string_view, 6> kForeignOptions = {"n_clusters", "init", "threshold",
                                                             "augment",    "keep", "exchange"};

class LinearTrigger final : public TriggerWorkload {
 public:
  uint64_t Open(wire::Job& job) override {
    data_ = OpenJobData(job);
    if (!job.test.empty()) {
      test_ = place::LoadData(job.test, {.index_base = static_cast<int>(job.index_base)});
    }
    if (!job.init_model.empty()) {
      if (place::IsLocal(job.init_model)) {
        job.init_model = std::filesystem::absolute(place::PathOf(job.init_model));
      }
      ReadLinearModel(job.init_model);  // a bad file fails here, before anything starts
    }
    return data_.bytes_needed;
  }

  void Place(const std::string& folder, wire::Job& job) override {
    const std::string origin = job.data;
    manifest_ = PlaceShards(std::move(data_), RowOrder::kShuffled, folder, job);
    CheckLabels(job, manifest_, origin);
    SettleLambda(job, manifest_.rows);
    if (test_) CheckTestLabels(job);
  }

  void Describe(const wire::Job& job, report::RunSummary& summary) const override {
    summary.optim = wire::NameOf(*job.optim);
    summary.regularizer = wire::NameOf(*job.regularizer);
    summary.lambda = *job.lambda;
    summary.n_features = manifest_.n_features;
  }

  base::Blob OutputOf(const wire::Job& /*job*/, const base::Blob& model) const override {
    return model;
  }

  void Evaluate(const base::Blob& model, report::RunSummary& summary) const override {
    if (!test_) return;
    const Evaluation evaluation =
        EvaluateModel(model::ParseLinearModel(model.text(), "trained model"), *test_);
    summary.test_loss = evaluation.loss;
    summary.test_accuracy = evaluation.accuracy;
  }

 private:
  // Labels of the test data that the model cannot know fail here rather than after the training.
  void CheckTestLabels(const wire::Job& job) const {
    try {
      data::LabelMap::FromCounts(manifest_.labels).ClassesOf(test_->labels);
    } catch (const base::Error& error) {
      throw base::Error(error.code(), fmt::format("--test {}: {}", job.test, error.message()));
    }
  }

  JobData data_;
  std::optional<data::Dataset> test_;
  data::Manifest manifest_;
};

class LinearWorker final : public WorkerWorkload {
 public:
  LinearWorker(const wire::Job& job, base::ThreadPool& pool) : job_(job), pool_(pool) {}

  int64_t Load(store::Store& data, const base::Deadline& deadline) override {
    shards_ = LoadWorkerShards(data, job_, deadline);
    const model::LinearLoss loss = LossOf(job_.model);
    train_.emplace(shards_.train, shards_.train_classes, shards_.shape, loss, pool_);
    valid_.emplace(shards_.valid, shards_.valid_classes, shards_.shape, loss, pool_);
    if (!job_.batch_size) job_.batch_size = DefaultBatchSize(shards_.train_rows_max);
    return shards_.train.rows() + shards_.valid.rows();
  }

  std::optional<WorkloadResult> Train(
      Peers& peers, Generation& generation,
      const std::function<void(const report::EpochRecord&)>& on_epoch) override {
    const Problem problem = {.objective = *train_,
                             .rows_total = shards_.train_rows_total,
                             .rows_max = shards_.train_rows_max,
                             .regularizer = RegularizerOf(job_)};
    Exchange exchange(peers.communicator());
    const bool async = job_.sync_mode == wire::SyncMode::kAsync;
    comm::SharedModel* const shared =
        async ? &peers.MakeSharedModel(static_cast<size_t>(shards_.shape.parameter_count()))
              : nullptr;
    const std::unique_ptr<Algorithm> algorithm =
        MakeAlgorithm(problem, exchange, generation, shared);
    const TrainerOptions options = {.epochs_max = EpochsMax(job_),
                                    .patience = job_.patience,
                                    .synchronous = !async,
                                    .communicating = [&] { return peers.communicating(); },
                                    .on_epoch = on_epoch};
    const std::optional<TrainerResult> result =
        train::Train(*algorithm, problem, *valid_, exchange, generation, options);
    if (!result) return std::nullopt;
    return WorkloadResult{.outcome = OutcomeOf(*result), .model = FormatModel(result->parameters)};
  }

 private:
  std::unique_ptr<Algorithm> MakeAlgorithm(const Problem& problem, Exchange& exchange,
                                           const Generation& generation,
                                           comm::SharedModel* shared) {
    std::vector<float> initial = InitialParameters();
    switch (*job_.optim) {
      case wire::Optim::kGradAvg:
        return shared != nullptr
                   ? MakeAsyncGradAvg(problem, exchange, *shared, job_, std::move(initial))
                   : MakeGradAvg(problem, exchange, job_, std::move(initial));
      case wire::Optim::kModelAvg:
        return shared != nullptr
                   ? MakeAsyncModelAvg(problem, exchange, *shared, job_, std::move(initial))
                   : MakeModelAvg(problem, exchange, job_, std::move(initial));
      case wire::Optim::kAdmm:
        break;
    }
    // A saved state has the solver's learning rate in it.
    const bool derives_lr = job_.local_solver == wire::LocalSolver::kSgd && !generation.has_state();
    const double lr = derives_lr ? InitialLearningRate(problem, exchange, job_) : 0;
    solver_ = MakeLocalSolver(*train_, problem, job_, lr);
    return MakeAdmm(problem, exchange, job_, std::move(initial), *solver_);
  }

  std::vector<float> InitialParameters() const {
    if (job_.init_model.empty()) {
      return std::vector<float>(static_cast<size_t>(shards_.shape.parameter_count()), 0.0F);
    }
    return WarmStart(job_.init_model, shards_.shape, shards_.labels);
  }

  std::string FormatModel(const std::vector<float>& parameters) const {
    if (job_.worker_index != 0) return {};
    return model::FormatLinearModel({.loss = LossOf(job_.model),
                                     .shape = shards_.shape,
                                     .labels = shards_.labels,
                                     .weights = parameters});
  }

  static TrainingOutcome OutcomeOf(const TrainerResult& result) {
    const auto mean = [](double sum, int64_t rows) {
      return rows > 0 ? std::optional(sum / static_cast<double>(rows)) : std::nullopt;
    };
    return {.epochs = result.epochs,
            .stopped_by = result.stopped_by,
            .loss = result.objective,
            .accuracy = mean(static_cast<double>(result.train.correct), result.train.rows),
            .valid_loss = mean(result.valid.loss_sum, result.valid.rows),
            .valid_accuracy = mean(static_cast<double>(result.valid.correct), result.valid.rows),
            .details = result.details};
  }

  wire::Job job_;
  base::ThreadPool& pool_;
  WorkerShards shards_;
  std::optional<model::LinearObjective> train_;
  std::optional<model::LinearObjective> valid_;
  std::unique_ptr<optim::ProximalSolver> solver_;
};

}  // namespace

const Workload kLinearWorkload = {
    .foreign_options = kForeignOptions,
    .resolve = ResolveLinearJob,
    .epochs_max =
        [](const wire::Job& job) {
          return job.optim == wire::Optim::kAdmm ? job.n_admm_epochs : *job.n_epochs;
        },
    .output_suffix = ".model",
    .at_trigger = []() -> std::unique_ptr<TriggerWorkload> {
      return std::make_unique<LinearTrigger>();
    },
    .at_worker = [](const wire::Job& job, base::ThreadPool& pool)
        -> std::unique_ptr<WorkerWorkload> { return std::make_unique<LinearWorker>(job, pool); }};

}  // namespace lambdaml::train
