#include "lambdaml/train/worker.h"

#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/make_communicator.h"
#include "lambdaml/model/linear_model_file.h"
#include "lambdaml/model/linear_objective.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/train/evaluation.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/train/local_solver.h"
#include "lambdaml/train/shards.h"
#include "lambdaml/train/trainer.h"

namespace lambdaml::train {
namespace {

int64_t NowEpochMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

uint64_t ResidentBytesMax() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

report::ServiceUse UseOf(const store::Store& store) {
  const store::Counters counters = store.counters();
  return {.service = std::string(store.capabilities().service),
          .get_requests = counters.get_requests,
          .put_requests = counters.put_requests,
          .list_requests = counters.list_requests,
          .delete_requests = counters.delete_requests,
          .bytes_read = counters.bytes_read,
          .bytes_written = counters.bytes_written};
}

// The worker as a chain of parts that live as long as the run.
class Worker {
 public:
  Worker(const wire::Job& job, const WorkerEnvironment& environment)
      : job_(job),
        environment_(environment),
        pool_(environment.thread_count),
        data_store_(store::OpenStore(job.data)),
        channel_(store::OpenStore(job.channel)),
        run_store_(store::OpenStore(job.model_url)) {
    report_.started_epoch_ms = NowEpochMs();
    report_.rank = job.worker_index;
  }

  WorkerReport Run() {
    const base::TimePoint start = base::SystemClock().Now();
    Load();
    const base::TimePoint loaded = base::SystemClock().Now();
    const TrainerResult result = TrainModel();
    if (job_.worker_index == 0) LeaveModel(result.parameters);
    const base::Duration trained = base::SystemClock().Now() - loaded;
    report_.load_seconds = base::Seconds(loaded - start);
    report_.synchronise_seconds = base::Seconds(Communicating());
    report_.compute_seconds = base::Seconds(trained) - report_.synchronise_seconds;
    report_.resident_bytes_max = ResidentBytesMax();
    report_.uses = {UseOf(*data_store_), UseOf(*channel_), UseOf(*run_store_)};
    Describe(result);
    return std::move(report_);
  }

 private:
  void Load() {
    shards_ = LoadWorkerShards(*data_store_, job_, environment_.deadline);
    report_.rows = shards_.train.rows() + shards_.valid.rows();
    const model::LinearLoss loss = LossOf(job_.model);
    train_.emplace(shards_.train, shards_.train_classes, shards_.shape, loss, pool_);
    valid_.emplace(shards_.valid, shards_.valid_classes, shards_.shape, loss, pool_);
    if (!job_.batch_size) job_.batch_size = DefaultBatchSize(shards_.train_rows_max);
  }

  TrainerResult TrainModel() {
    const bool async = job_.sync_mode == wire::SyncMode::kAsync;
    comm::Membership membership = {.job = job_.job_id,
                                   .rank = static_cast<int>(job_.worker_index),
                                   .worker_count = static_cast<int>(job_.n_workers),
                                   .round_timeout = base::FromSeconds(job_.round_timeout_s),
                                   .end = environment_.deadline};
    // Asynchronous workers meet only at the end, and then wait for the slowest.
    if (async) membership.round_timeout = environment_.deadline.Remaining();
    communicator_ = comm::MakeCommunicator(job_.sync_mode == wire::SyncMode::kReduceScatter
                                               ? comm::Pattern::kReduceScatter
                                               : comm::Pattern::kReduce,
                                           *channel_, membership);
    const Problem problem = {.objective = *train_,
                             .rows_total = shards_.train_rows_total,
                             .rows_max = shards_.train_rows_max,
                             .regularizer = RegularizerOf(job_)};
    Exchange exchange(*communicator_);
    if (async) {
      shared_ = comm::MakeSharedModel(*channel_, membership,
                                      static_cast<size_t>(shards_.shape.parameter_count()));
    }
    const std::unique_ptr<Algorithm> algorithm = MakeAlgorithm(problem, exchange);
    const TrainerOptions options = {
        .epochs_max = job_.optim == wire::Optim::kAdmm ? job_.n_admm_epochs : *job_.n_epochs,
        .patience = job_.patience,
        .synchronous = !async,
        .communicating = [this] { return Communicating(); },
        .on_epoch = [this](const report::EpochRecord& record) { Publish(record); }};
    return Train(*algorithm, problem, *valid_, exchange, options);
  }

  std::unique_ptr<Algorithm> MakeAlgorithm(const Problem& problem, Exchange& exchange) {
    std::vector<float> initial = InitialParameters();
    switch (*job_.optim) {
      case wire::Optim::kGradAvg:
        return shared_ ? MakeAsyncGradAvg(problem, exchange, *shared_, job_, std::move(initial))
                       : MakeGradAvg(problem, exchange, job_, std::move(initial));
      case wire::Optim::kModelAvg:
        return shared_ ? MakeAsyncModelAvg(problem, exchange, *shared_, job_, std::move(initial))
                       : MakeModelAvg(problem, exchange, job_, std::move(initial));
      case wire::Optim::kAdmm:
        break;
    }
    solver_ = MakeLocalSolver(*train_, problem, exchange, job_);
    return MakeAdmm(problem, exchange, job_, std::move(initial), *solver_);
  }

  std::vector<float> InitialParameters() const {
    if (job_.init_model.empty()) {
      return std::vector<float>(static_cast<size_t>(shards_.shape.parameter_count()), 0.0F);
    }
    return WarmStart(job_.init_model, shards_.shape, shards_.labels);
  }

  base::Duration Communicating() const {
    base::Duration total = communicator_->stats().communicating;
    if (shared_) total += shared_->stats().communicating;
    return total;
  }

  void Publish(const report::EpochRecord& record) {
    if (job_.worker_index != 0) return;
    const std::string text = report::ToJson(record).Dump();
    run_store_->Put(ProgressKey(job_.job_id, record.epoch), base::AsBytes(text),
                    environment_.deadline);
  }

  void LeaveModel(const std::vector<float>& parameters) {
    const model::LinearModel model = {.loss = LossOf(job_.model),
                                      .shape = shards_.shape,
                                      .labels = shards_.labels,
                                      .weights = parameters};
    run_store_->Put(kModelKey, base::AsBytes(model::FormatLinearModel(model)),
                    environment_.deadline);
  }

  void Describe(const TrainerResult& result) {
    const auto mean = [](double sum, int64_t rows) {
      return rows > 0 ? sum / static_cast<double>(rows) : 0;
    };
    report_.epochs = result.epochs;
    report_.stopped_by = result.stopped_by;
    report_.objective = result.objective;
    report_.loss = mean(result.train.loss_sum, result.train.rows);
    report_.accuracy = mean(static_cast<double>(result.train.correct), result.train.rows);
    report_.valid_rows = result.valid.rows;
    report_.valid_loss = mean(result.valid.loss_sum, result.valid.rows);
    report_.valid_accuracy = mean(static_cast<double>(result.valid.correct), result.valid.rows);
    report_.details = result.details;
  }

  wire::Job job_;
  const WorkerEnvironment environment_;
  base::ThreadPool pool_;
  std::unique_ptr<store::Store> data_store_;
  std::unique_ptr<store::Store> channel_;
  std::unique_ptr<store::Store> run_store_;  // for the trigger: progress and model
  WorkerShards shards_;
  std::optional<model::LinearObjective> train_;
  std::optional<model::LinearObjective> valid_;
  std::unique_ptr<comm::Communicator> communicator_;
  std::unique_ptr<comm::SharedModel> shared_;
  std::unique_ptr<optim::ProximalSolver> solver_;
  WorkerReport report_;
};

}  // namespace

std::string ProgressKey(const std::string& job_id, int64_t epoch) {
  return fmt::format("{}/progress/{}", job_id, epoch);
}

WorkerReport RunWorker(const wire::Job& job, const WorkerEnvironment& environment) {
  try {
    return Worker(job, environment).Run();
  } catch (const base::Error& error) {
    const bool out_of_time = error.code() == base::ErrorCode::kDeadlineExceeded;
    if (!out_of_time || !environment.deadline.Expired()) throw;
    throw base::Error(error.code(),
                      fmt::format("{}; the function has run for its {} s: give --timeout more, or "
                                  "more --workers",
                                  error.message(), job.timeout_s));
  }
}

}  // namespace lambdaml::train
