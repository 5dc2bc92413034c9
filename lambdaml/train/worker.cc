#include "lambdaml/train/worker.h"

#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sys/resource.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/place/place.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/train/checkpointed_generation.h"
#include "lambdaml/train/job_record.h"
#include "lambdaml/train/job_watch.h"
#include "lambdaml/train/metrics_log.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/train/service_use.h"
#include "lambdaml/train/workload.h"

namespace lambdaml::train {
namespace {

uint64_t ResidentBytesMax() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

// To an invocation that comes very late nothing of the job is left, and opening its folders would
// make them anew, for nobody to delete.
void CheckJobIsThere(const wire::Job& job) {
  if (!place::IsLocal(job.data) || base::FileExists(place::PathOf(job.data))) return;
  throw base::Error(
      base::ErrorCode::kNotFound,
      fmt::format("{}, the shards of job {}, is not there: the job is over", job.data, job.job_id));
}

// The worker as a chain of parts that live as long as the run.
class Worker {
 public:
  Worker(const wire::Job& job, const WorkerEnvironment& environment)
      : job_(job),
        environment_(environment),
        pool_(environment.thread_count),
        data_store_(store::OpenStore(job.data)),
        channel_(comm::OpenChannel(job.channel)),
        run_store_(store::OpenStore(job.model_url)),
        // A payload that no trigger of ours has made may not say.
        checkpoints_(job.checkpoint.empty() ? job.model_url : job.checkpoint, job.job_id),
        workload_(WorkloadOf(job.model).at_worker(job_, pool_)),
        watch_(*run_store_, job_) {
    report_.started_epoch_ms = NowEpochMs();
    report_.rank = job.worker_index;
  }

  WorkerReport Run() {
    const base::TimePoint start = base::SystemClock().Now();
    report_.rows = workload_->Load(*data_store_, environment_.deadline);
    const base::TimePoint loaded = base::SystemClock().Now();
    report_.load_seconds = base::Seconds(loaded - start);
    while (!WasFinished() && !Train()) ++job_.attempt;
    const base::Duration trained = base::SystemClock().Now() - loaded;
    report_.compute_seconds = base::Seconds(trained) - report_.synchronise_seconds;
    report_.resident_bytes_max = ResidentBytesMax();
    report_.uses = {UseOf(*data_store_), UseOf(*channel_), UseOf(*run_store_),
                    UseOf(checkpoints_.store())};
    return std::move(report_);
  }

 private:
  // To an invocation that comes late the job may be over; its peers have gone then.
  bool WasFinished() {
    if (job_.generation == 0 && job_.attempt == 1) return false;
    const std::optional<base::Blob> outcome = Outcome();
    if (!outcome) return false;
    report_.outcome = OutcomeFromJson(base::Json::Parse(outcome->text(), "the job's outcome"));
    return true;
  }

  std::optional<base::Blob> Outcome() {
    return run_store_->Get(OutcomeKey(job_.job_id), environment_.deadline);
  }

  // This invocation's share. False if it was left behind: it is to enter its generation anew, as a
  // later attempt, and will find itself further.
  bool Train() {
    const auto generation = EnterGeneration(
        {.job = job_,
         .checkpoints = checkpoints_,
         .visit_more = [this](wire::RankState& state) { VisitHistory(state.shared); },
         .is_job_over = [this] { return Outcome().has_value(); },
         .end = environment_.deadline});
    if (generation == nullptr) {
      report_.is_finished = false;
      return true;
    }
    Peers peers(job_, *channel_, environment_.deadline, generation.get(), &watch_);
    try {
      TrainWith(peers, *generation);
    } catch (const base::Error& error) {
      const bool is_cancelled = error.code() == base::ErrorCode::kCancelled;
      if (is_cancelled || !generation->IsLeftBehind()) throw;
      return false;
    }
    report_.synchronise_seconds += base::Seconds(peers.communicating());
    return true;
  }

  void TrainWith(Peers& peers, CheckpointedGeneration& generation) {
    generation.Join(peers.communicator());
    MetricsLog metrics(job_, *channel_, peers);
    WatchedGeneration watched(generation, watch_);
    const auto result = workload_->Train(peers, watched, [&](const report::EpochRecord& record) {
      metrics.Write(record);
      Publish(record);
    });
    report_.is_finished = result.has_value();
    if (!result) return;
    if (job_.worker_index == 0) LeaveModel(*result);
    peers.communicator().Leave();
    report_.outcome = result->outcome;
  }

  void Publish(const report::EpochRecord& record) {
    if (job_.worker_index != 0) return;
    const std::string text = report::ToJson(record).Dump();
    history_ += text + "\n";
    PutRecord(record.epoch, text);
  }

  void PutRecord(int64_t epoch, std::string_view text) {
    run_store_->Put(ProgressKey(job_.job_id, epoch), base::AsBytes(text), environment_.deadline);
  }

  // A job that is resumed has a trigger that knows nothing of the epochs before.
  void VisitHistory(wire::State& shared) {
    shared.Visit("history", history_);
    if (shared.is_saving() || job_.worker_index != 0) return;
    if (run_store_->Get(ProgressKey(job_.job_id, 1), environment_.deadline)) return;
    int64_t epoch = 0;
    for (size_t begin = 0; begin < history_.size();) {
      const size_t end = history_.find('\n', begin);
      PutRecord(++epoch, std::string_view(history_).substr(begin, end - begin));
      begin = end + 1;
    }
  }

  void LeaveModel(const WorkloadResult& result) {
    run_store_->Put(kModelKey, base::AsBytes(result.model), environment_.deadline);
    const std::string outcome = ToJson(result.outcome).Dump();
    run_store_->Put(OutcomeKey(job_.job_id), base::AsBytes(outcome), environment_.deadline);
  }

  wire::Job job_;
  const WorkerEnvironment environment_;
  base::ThreadPool pool_;
  std::unique_ptr<store::Store> data_store_;
  std::unique_ptr<comm::Channel> channel_;
  std::unique_ptr<store::Store> run_store_;  // for the trigger: progress, model, outcome
  Checkpoints checkpoints_;
  const std::unique_ptr<WorkerWorkload> workload_;
  JobWatch watch_;
  std::string history_;  // rank 0: the records of all epochs so far, a line each
  WorkerReport report_;
};

}  // namespace

std::string OutcomeKey(const std::string& job_id) { return job_id + "/outcome"; }

std::string ProgressKey(const std::string& job_id, int64_t epoch) {
  return fmt::format("{}/progress/{}", job_id, epoch);
}

WorkerReport RunWorker(const wire::Job& job, const WorkerEnvironment& given) {
  WorkerEnvironment environment = given;
  if (job.ends_at_ms > 0) {
    environment.deadline =
        base::Deadline::Earlier(given.deadline, base::Deadline::AtEpochMs(job.ends_at_ms));
  }
  try {
    CheckJobIsThere(job);
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
