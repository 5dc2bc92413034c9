#include "lambdaml/train/trigger.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/log.h"
#include "lambdaml/base/units.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/faas/reaper.h"
#include "lambdaml/place/place.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/store/store_url.h"
#include "lambdaml/train/checkpoints.h"
#include "lambdaml/train/follower.h"
#include "lambdaml/train/gang.h"
#include "lambdaml/train/job_record.h"
#include "lambdaml/train/platform.h"
#include "lambdaml/train/resume.h"
#include "lambdaml/train/run_directory.h"
#include "lambdaml/train/run_output.h"
#include "lambdaml/train/run_summary.h"
#include "lambdaml/train/service_use.h"
#include "lambdaml/train/trigger_function.h"
#include "lambdaml/train/worker.h"
#include "lambdaml/train/worker_payload.h"
#include "lambdaml/train/workload.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

// How long the trigger waits beyond a function's own time-out for its answer, and for the platform.
constexpr base::Duration kPlatformGrace = std::chrono::seconds(30);
constexpr const char* kInitialModelKey = "init_model";  // of the run's store
constexpr base::Duration kInterruptPoll = std::chrono::milliseconds(100);
constexpr base::Duration kPrepareTimeout = std::chrono::minutes(2);  // new tables take a while
constexpr base::Duration kUploadTimeout = std::chrono::minutes(10);  // of one shard
constexpr base::Duration kCleanUpTimeout = std::chrono::seconds(30);
constexpr base::Duration kFarewell =
    std::chrono::seconds(10);  // of workers of a run that ends early
constexpr base::Duration kCheckpointTimeout = std::chrono::seconds(30);
// A trigger that is a function: how often it is asked how far it is, and how long it may take to
// begin (Lambda drops events that are older, config/function.yaml).
constexpr base::Duration kStatePause = std::chrono::seconds(1);
constexpr std::chrono::milliseconds kStartMax = std::chrono::minutes(6);

class Run {
 public:
  Run(const wire::Job& job, const TriggerOptions& options)
      : job_(job),
        options_(options),
        prices_(PricesOf(job)),
        started_(Now()),
        workload_(WorkloadOf(job.model).at_trigger()) {}

  report::RunSummary Finish() {
    CheckOutput(job_);
    platform_ = MakePlatform(job_, options_.worker_program);
    Prepare();
    if (IsHandedOver()) return FinishByFunction();
    Stage(fmt::format("starting {} workers", job_.n_workers));
    platform_->Start(job_, *run_);
    Follower follower(*run_store_, job_.job_id, options_.on_epoch);
    std::vector<WorkerReport> workers = RunWorkers(follower);
    is_finished_ = true;
    follower.Finish(workers.front().outcome.epochs);
    platform_->Shutdown();  // the workers' part is over, and the records are complete
    invocations_ = platform_->TakeInvocations();
    const base::Blob model = TakeModel();
    place::Write(job_.output, workload_->OutputOf(job_, model).span());
    CleanChannel();
    CleanCheckpoints();
    CleanSharedFolder();
    report::RunSummary summary = SummaryOf(std::move(workers));
    workload_->Evaluate(model, summary);
    summary.wall_seconds = base::Seconds(Now() - started_);
    return summary;
  }

  // Leaves nothing behind however the run has ended.
  ~Run() {
    platform_.reset();
    CleanChannel();
    CleanCheckpoints();
    CleanSharedFolder();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

 private:
  bool IsHandedOver() const { return job_.trigger == wire::TriggerKind::kLambda; }

  // The rest of Finish where the trigger is a function: this only follows it.
  report::RunSummary FinishByFunction() {
    Stage(fmt::format("handing the job over to {}", job_.function_name));
    platform_->Start(job_, *run_);
    JobRecord record(*run_store_, job_.job_id);
    HandOver(record);
    if (is_shared_) options_.on_handed_over(job_);
    Follower follower(*run_store_, job_.job_id, options_.on_epoch);
    const JobState state = WaitForEnd(record, follower);
    if (state.phase != JobPhase::kFinished) throw base::Error(state.code, state.message);
    is_finished_ = true;
    follower.Finish(state.summary->epochs);
    platform_->Shutdown();
    if (const auto output = record.Output(base::Deadline::After(kCleanUpTimeout))) {
      place::Write(job_.output, output->span());
    }
    report::RunSummary summary = *state.summary;
    workload_->Evaluate(TakeModel(), summary);
    summary.model_path = job_.output;
    summary.wall_seconds = base::Seconds(Now() - started_);
    return summary;
  }

  // Leaves all that the trigger must know, and starts it.
  void HandOver(JobRecord& record) {
    const base::Deadline deadline = base::Deadline::After(kPrepareTimeout);
    JobPlan plan = {.job = job_, .described = {}, .prices = {}, .started_epoch_ms = NowEpochMs()};
    workload_->Describe(job_, plan.described);
    if (!job_.prices.empty()) plan.prices = base::MapFile(job_.prices).text();
    plan.job.channel = store::WithoutPassword(job_.channel);
    plan.job.prices.clear();
    plan.job.log.clear();
    plan.job.test.clear();
    record.PutPlan(plan, deadline);
    const TriggerHop first = {.run = job_.model_url, .job_id = job_.job_id, .hop = 1};
    platform_->invoker().InvokeAsync(job_.function_name, ToPayload(first), deadline);
  }

  JobState WaitForEnd(JobRecord& record, const Follower& follower) {
    const base::Duration pause = is_shared_ ? kStatePause : kInterruptPoll;
    base::TimePoint looked = Now();
    int64_t ends_epoch_ms = NowEpochMs() + kStartMax.count();
    while (true) {
      if (options_.interrupted != nullptr && options_.interrupted->load()) LeaveAlone();
      ThrowIfInterrupted();
      follower.ThrowIfFailed();
      base::SystemClock().SleepFor(kInterruptPoll);
      if (Now() - looked < pause) continue;
      looked = Now();
      const auto state = record.State(base::Deadline::After(kCleanUpTimeout));
      if (state && state->phase != JobPhase::kRunning) return *state;
      if (state) ends_epoch_ms = state->ends_epoch_ms + kLostAfter.count();
      if (NowEpochMs() > ends_epoch_ms) ThrowLost();
    }
  }

  // Stops following; the job goes on, so what it needs must stay.
  void LeaveAlone() {
    if (!is_shared_) return;  // its functions end with this program
    is_shared_ = false;
    checkpoints_.reset();
    throw base::Error(base::ErrorCode::kCancelled,
                      fmt::format("interrupted: the job goes on without this program; `lambdaml "
                                  "status {0}` says how far it is, `lambdaml cancel {0}` ends it",
                                  job_.job_id));
  }

  [[noreturn]] void ThrowLost() {
    throw base::Error(
        base::ErrorCode::kUnavailable,
        fmt::format("the trigger of job {} has ended without a word: see `lambdaml logs`{}",
                    job_.job_id, Hint()));
  }

  static base::TimePoint Now() { return base::SystemClock().Now(); }

  void Stage(const std::string& stage) const {
    ThrowIfInterrupted();
    options_.on_stage(stage);
  }

  void ThrowIfInterrupted() const {
    if (options_.interrupted != nullptr && options_.interrupted->load()) {
      throw base::Error(base::ErrorCode::kCancelled,
                        "interrupted: the run was stopped and cleaned up");
    }
  }

  // Reads the data into shards and opens the channel.
  void Prepare() {
    Stage(fmt::format("reading {}", job_.data));
    const wire::Job given = job_;
    const uint64_t bytes_needed = workload_->Open(job_);
    run_.emplace("", bytes_needed + kKeptBytesMax);
    reaper_.DeleteAtEnd(run_->path());
    OpenCheckpoints(given);
    is_shared_ = !platform_->shared_folder().empty();
    job_.model_url = is_shared_ ? UrlIn(platform_->shared_folder(), job_.job_id) : run_->path();
    run_store_ = store::OpenStore(job_.model_url);
    CheckPlaces();
    Watch();
    Stage(fmt::format("splitting {} into {} shards", job_.data, job_.n_workers));
    workload_->Place(run_->shards(), job_);
    if (is_shared_) ShareInputs();
    OpenChannel();
  }

  // From here on the run's store says that the job is wanted.
  void Watch() {
    if (!is_shared_ && !IsHandedOver()) return;
    job_.is_watched = true;
    JobRecord(*run_store_, job_.job_id).PutRunning(base::Deadline::After(kCleanUpTimeout));
  }

  // What functions of other machines cannot reach fails here, not in each of them.
  void CheckPlaces() const {
    if (!is_shared_) return;
    const auto check = [&](std::string_view option, const std::string& place) {
      if (place.empty() || !place::IsLocal(place)) return;
      throw base::Error(base::ErrorCode::kInvalidArgument,
                        fmt::format("--{} {} is of this machine, which the functions of --platform "
                                    "{} do not reach: give a URL",
                                    option, place, wire::NameOf(job_.platform)));
    };
    check("channel", job_.channel);
    check("checkpoint", job_.checkpoint);
  }

  // Copies what lies on this machine to where the functions reach it.
  void ShareInputs() {
    if (!job_.init_model.empty() && place::IsLocal(job_.init_model)) {
      run_store_->Put(kInitialModelKey, place::Read(job_.init_model).span(),
                      base::Deadline::After(kUploadTimeout));
      job_.init_model = UrlIn(job_.model_url, kInitialModelKey);
    }
    if (!place::IsLocal(job_.data)) return;
    const std::string folder = place::PathOf(job_.data);
    const std::string url = UrlIn(job_.model_url, "shards");
    Stage(fmt::format("uploading shards to {}", url));
    const std::unique_ptr<store::Store> shards = store::OpenStore(url);
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      ThrowIfInterrupted();
      if (!entry.is_regular_file()) continue;
      shards->Put(entry.path().filename(), base::MapFile(entry.path()).span(),
                  base::Deadline::After(kUploadTimeout));
    }
    job_.data = url;
  }

  // Deletes what the run left in the folder that it shares with its functions, once. Never throws.
  void CleanSharedFolder() {
    if (!std::exchange(is_shared_, false)) return;
    try {
      run_store_->DeletePrefix("", base::Deadline::After(kCleanUpTimeout));
    } catch (const base::Error& error) {
      base::Log(base::LogLevel::kWarning, fmt::format("what the run left in {} is still there: {}",
                                                      job_.model_url, error.message()));
    }
  }

  // A job that is resumed keeps its id, by which its checkpoints know it.
  void OpenCheckpoints(const wire::Job& given) {
    if (job_.checkpoint.empty()) {
      const std::string shared = platform_->shared_folder();
      const bool is_reached = shared.empty() || !place::IsLocal(job_.output);
      job_.checkpoint = is_reached ? DefaultCheckpoint(job_.output)
                                   : UrlIn(shared, run_->job_id() + ".checkpoint");
    }
    if (place::IsLocal(job_.checkpoint)) {
      job_.checkpoint = std::filesystem::absolute(place::PathOf(job_.checkpoint));
    }
    job_.origin = wire::JobToJson(given).Dump();
    const bool is_resumed = !job_.job_id.empty();
    const base::Deadline deadline = base::Deadline::After(kCheckpointTimeout);
    const std::string found = Checkpoints::JobIn(job_.checkpoint, deadline);
    if (!is_resumed) {
      job_.job_id = run_->job_id();
      if (!found.empty()) {
        base::Log(base::LogLevel::kWarning,
                  fmt::format("{0} has the checkpoint of an unfinished run, which this one will "
                              "take the place of; `lambdaml train --resume {0}` goes on with it",
                              job_.checkpoint));
      }
    }
    checkpoints_.emplace(job_.checkpoint, job_.job_id);
  }

  // What the run has saved is of no use once the model is there, and before anything was.
  void CleanCheckpoints() {
    if (!checkpoints_) return;
    try {
      const base::Deadline deadline = base::Deadline::After(kCheckpointTimeout);
      if (!is_finished_ && checkpoints_->HasState(deadline)) return;
      checkpoints_->DeleteAll(deadline);
      std::error_code error;  // of a folder that holds something else
      if (place::IsLocal(job_.checkpoint)) std::filesystem::remove(job_.checkpoint, error);
    } catch (const base::Error& error) {
      base::Log(base::LogLevel::kWarning, fmt::format("the checkpoint in {} is still there: {}",
                                                      job_.checkpoint, error.message()));
    }
    checkpoints_.reset();
  }

  // Says where an unfinished run's state is, if any has been saved.
  std::string Hint() {
    try {
      return HintOfResume(*checkpoints_, job_.checkpoint,
                          base::Deadline::After(kCheckpointTimeout));
    } catch (const base::Error&) {
      return "";  // the run's own error matters more
    }
  }

  void OpenChannel() {
    if (job_.channel.empty()) {
      job_.channel = is_shared_ ? UrlIn(job_.model_url, "channel") : run_->channel();
    }
    if (IsHandedOver() && !place::IsLocal(job_.channel)) return CheckHandedOverChannel();
    channel_ = comm::OpenChannel(job_.channel, net::kFirstContactMax);
    if (channel_->service() == "file") {
      job_.channel = channel_->url();  // a relative path means another place to the workers
      // Also when the trigger is killed, which no destructor sees.
      const std::string folder(channel_->url().substr(std::string_view("file://").size()));
      reaper_.DeleteAtEnd(fmt::format("{}/{}", folder, job_.job_id));
    }
    CheckPrices(job_, prices_, channel_->service());
    channel_->Prepare(job_.job_id, base::Deadline::After(kPrepareTimeout));
    channel_is_clean_ = false;
  }

  // A trigger that is a function opens and prepares the channel itself: it may be where only
  // functions reach it. What it made it could not delete, being another invocation by then.
  void CheckHandedOverChannel() const {
    if (job_.channel.find("create=true") == std::string::npos) return;
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--trigger lambda: the tables of --channel must be there; leave create=true "
                      "out");
  }

  // Deletes what the run left in a channel that outlives it, once. Never throws: the model, or the
  // run's own error, matters more.
  void CleanChannel() {
    if (channel_is_clean_) return;
    channel_is_clean_ = true;
    try {
      channel_->CleanUp(job_.job_id, base::Deadline::After(kCleanUpTimeout));
    } catch (const base::Error& error) {
      base::Log(base::LogLevel::kWarning, fmt::format("what job {} left in its channel is still "
                                                      "there: {}",
                                                      job_.job_id, error.message()));
    }
  }

  std::vector<WorkerReport> RunWorkers(const Follower& follower) {
    invoked_epoch_ms_ = NowEpochMs();
    Gang gang(platform_->invoker(), {.function_name = job_.function_name,
                                     .worker_count = job_.n_workers,
                                     .generation = job_.generation,
                                     .max_restarts = job_.max_restarts,
                                     .patience = base::FromSeconds(job_.timeout_s) + kPlatformGrace,
                                     .payload_of =
                                         [this](int64_t rank, int64_t generation, int64_t attempt) {
                                           return WorkerPayload(job_, rank, generation, attempt);
                                         },
                                     .on_restart =
                                         [](const std::string& message) {
                                           base::Log(base::LogLevel::kWarning, message);
                                         }});
    try {
      while (!gang.WaitFor(kInterruptPoll)) {
        ThrowIfInterrupted();
        ThrowIfOverLimits();
        follower.ThrowIfFailed();
      }
      if (const std::optional<WorkerFailure> failure = gang.failure()) {
        throw base::Error(failure->error.code(), failure->error.message() + Hint());
      }
    } catch (...) {
      gang.Stop();
      Dismiss(gang);
      platform_->Shutdown();  // ends the other workers, so that the gang can be joined
      throw;
    }
    generations_ = gang.generations();
    restarts_ = gang.restarts();
    return gang.TakeReports();
  }

  // Workers of other machines cannot be ended; but they look whether the job is still wanted.
  void Dismiss(Gang& gang) {
    if (!is_shared_) return;
    try {
      JobRecord(*run_store_, job_.job_id).DeleteRunning(base::Deadline::After(kCleanUpTimeout));
      gang.WaitUntilIdle(kFarewell);
    } catch (const base::Error&) {
      // They end when their peers do not answer.
    }
  }

  // The limits of --deadline and --max_cost. The cost is that of functions and cache nodes; the
  // requests of a run under way are known to its workers only.
  void ThrowIfOverLimits() {
    const double seconds = base::Seconds(Now() - started_);
    const auto dollars = [&] {
      const std::vector<report::Invocation> so_far(
          static_cast<size_t>(job_.n_workers), {job_.memory_mb, NowEpochMs() - invoked_epoch_ms_});
      return DollarsSoFar(job_, prices_, so_far, seconds);
    };
    CheckLimits(job_, seconds, dollars, [this] { return Hint(); });
  }

  base::Blob TakeModel() const {
    std::optional<base::Blob> model =
        run_store_->Get(kModelKey, base::Deadline::After(kCleanUpTimeout));
    if (!model) throw base::Error(base::ErrorCode::kInternal, "rank 0 left no model");
    return *std::move(model);
  }

  report::RunSummary SummaryOf(std::vector<WorkerReport> workers) {
    report::RunSummary summary;
    workload_->Describe(job_, summary);
    summary.channel = channel_->url();
    Summarise(job_,
              {.workers = std::move(workers),
               .invocations = std::move(invocations_),
               .uses = {UseOf(*channel_), UseOf(*run_store_)},
               .invoked_epoch_ms = invoked_epoch_ms_,
               .generations = generations_,
               .restarts = restarts_,
               .seconds = base::Seconds(Now() - started_)},
              prices_, summary);
    return summary;
  }

  faas::Reaper reaper_;  // first: it forks, before there are threads
  wire::Job job_;
  const TriggerOptions& options_;
  const report::Prices prices_;
  const base::TimePoint started_;
  int64_t invoked_epoch_ms_ = 0;
  const std::unique_ptr<TriggerWorkload> workload_;
  std::optional<RunDirectory> run_;
  std::unique_ptr<store::Store> run_store_;  // progress and model, from rank 0
  std::unique_ptr<comm::Channel> channel_;
  bool channel_is_clean_ = true;
  std::unique_ptr<Platform> platform_;
  bool is_shared_ = false;  // run_store_ is in a folder that outlives the run
  std::vector<report::Invocation> invocations_;
  std::optional<Checkpoints> checkpoints_;
  bool is_finished_ = false;
  int64_t generations_ = 0;
  int64_t restarts_ = 0;
};

}  // namespace

report::RunSummary RunJob(const wire::Job& job, const TriggerOptions& options) {
  return Run(job, options).Finish();
}

}  // namespace lambdaml::train
