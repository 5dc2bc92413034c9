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
#include "lambdaml/train/platform.h"
#include "lambdaml/train/run_directory.h"
#include "lambdaml/train/service_use.h"
#include "lambdaml/train/worker.h"
#include "lambdaml/train/workload.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

// How long the trigger waits beyond a function's own time-out for its answer, and for the platform.
constexpr base::Duration kPlatformGrace = std::chrono::seconds(30);
constexpr base::Duration kInterruptPoll = std::chrono::milliseconds(100);
constexpr base::Duration kPrepareTimeout = std::chrono::minutes(2);  // new tables take a while
constexpr base::Duration kUploadTimeout = std::chrono::minutes(10);  // of one shard
constexpr base::Duration kCleanUpTimeout = std::chrono::seconds(30);
constexpr base::Duration kCheckpointTimeout = std::chrono::seconds(30);

report::Prices PricesOf(const wire::Job& job) {
  if (job.prices.empty()) return report::Prices::Embedded();
  return report::Prices::Parse(base::MapFile(job.prices).text(), job.prices);
}

// Beside the model: "model.txt.checkpoint", "s3://bucket/model.checkpoint?region=…".
std::string DefaultCheckpoint(const std::string& output) {
  const size_t end =
      place::IsLocal(output) ? output.size() : std::min(output.find('?'), output.size());
  return output.substr(0, end) + ".checkpoint" + output.substr(end);
}

// Fails now rather than after the training if the model cannot be written, or would overwrite data.
void CheckOutput(const wire::Job& job) {
  const std::string& output = job.output;
  const auto refuse = [&](std::string_view why) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("--output {} is {}: name another file", output, why));
  };
  const auto is_same = [&](const std::string& other) {
    std::error_code error;  // of files that do not exist
    return output == other ||
           (place::IsLocal(output) && place::IsLocal(other) &&
            std::filesystem::equivalent(place::PathOf(output), place::PathOf(other), error));
  };
  std::error_code error;  // of a path that does not exist
  if (place::IsLocal(output) && std::filesystem::is_directory(place::PathOf(output), error)) {
    refuse("a folder");
  }
  if (is_same(job.data)) refuse("the training data itself");
  if (is_same(job.test)) refuse("the test data itself");
  place::CheckWritable(output);
}

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
    Stage(fmt::format("starting {} workers", job_.n_workers));
    platform_->Start(job_, *run_);
    Follower follower(*run_store_, job_.job_id, options_.on_epoch);
    const std::vector<WorkerReport> workers = RunWorkers(follower);
    is_finished_ = true;
    follower.Finish(workers.front().outcome.epochs);
    platform_->Shutdown();  // the workers' part is over, and the records are complete
    invocations_ = platform_->TakeInvocations();
    const base::Blob model = TakeModel();
    place::Write(job_.output, workload_->OutputOf(job_, model).span());
    CleanChannel();
    CleanCheckpoints();
    CleanSharedFolder();
    report::RunSummary summary = Summarise(workers);
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
    Stage(fmt::format("splitting {} into {} shards", job_.data, job_.n_workers));
    workload_->Place(run_->shards(), job_);
    if (is_shared_) ShareShards();
    OpenChannel();
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
    check("init_model", job_.init_model);
    check("checkpoint", job_.checkpoint);
  }

  // Copies shards of this machine to where the functions reach them.
  void ShareShards() {
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
  std::string HintOfCheckpoint() {
    try {
      const base::Deadline deadline = base::Deadline::After(kCheckpointTimeout);
      if (!checkpoints_->HasState(deadline)) return "";
      const auto manifest = checkpoints_->Latest(deadline);
      return fmt::format("; the state {}is saved: `lambdaml train --resume {}` goes on from there",
                         manifest ? fmt::format("after epoch {} ", manifest->epochs) : "",
                         job_.checkpoint);
    } catch (const base::Error&) {
      return "";  // the run's own error matters more
    }
  }

  void OpenChannel() {
    if (job_.channel.empty()) {
      job_.channel = is_shared_ ? UrlIn(job_.model_url, "channel") : run_->channel();
    }
    channel_ = comm::OpenChannel(job_.channel, net::kFirstContactMax);
    if (channel_->service() == "file") {
      job_.channel = channel_->url();  // a relative path means another place to the workers
      // Also when the trigger is killed, which no destructor sees.
      const std::string folder(channel_->url().substr(std::string_view("file://").size()));
      reaper_.DeleteAtEnd(fmt::format("{}/{}", folder, job_.job_id));
    }
    CheckPrices();
    channel_->Prepare(job_.job_id, base::Deadline::After(kPrepareTimeout));
    channel_is_clean_ = false;
  }

  // Nothing is lost at the end of a run for want of a price.
  void CheckPrices() const {
    const report::ServiceUse use = {.service = std::string(channel_->service())};
    report::CostOf(prices_, report::Architecture::kX86, {}, std::span(&use, 1), CacheNodesOf(0));
  }

  std::optional<report::CacheNodes> CacheNodesOf(double seconds) const {
    if (job_.cache_node.empty()) return std::nullopt;
    const store::StoreUrl url = store::StoreUrl::Parse(job_.channel);
    const auto count = static_cast<int64_t>(std::ranges::count(url.authority, ',') + 1);
    return report::CacheNodes{.type = job_.cache_node, .count = count, .seconds = seconds};
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
    invoked_epoch_ms_ = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
    Gang gang(
        platform_->invoker(),
        {.function_name = job_.function_name,
         .worker_count = job_.n_workers,
         .generation = job_.generation,
         .max_restarts = job_.max_restarts,
         .patience = base::FromSeconds(job_.timeout_s) + kPlatformGrace,
         .payload_of = [this](int64_t rank, int64_t generation,
                              int64_t attempt) { return PayloadOf(rank, generation, attempt); },
         .on_restart =
             [](const std::string& message) { base::Log(base::LogLevel::kWarning, message); }});
    try {
      while (!gang.WaitFor(kInterruptPoll)) {
        ThrowIfInterrupted();
        ThrowIfOverLimits();
        follower.ThrowIfFailed();
      }
      if (const std::optional<WorkerFailure> failure = gang.failure()) {
        throw base::Error(failure->error.code(), failure->error.message() + HintOfCheckpoint());
      }
    } catch (...) {
      gang.Stop();
      platform_->Shutdown();  // ends the other workers, so that the gang can be joined
      throw;
    }
    generations_ = gang.generations();
    restarts_ = gang.restarts();
    return gang.TakeReports();
  }

  // The limits of --deadline and --max_cost. The cost is that of functions and cache nodes; the
  // requests of a run under way are known to its workers only.
  void ThrowIfOverLimits() {
    const double seconds = base::Seconds(Now() - started_);
    if (job_.deadline_s > 0 && seconds > job_.deadline_s) {
      throw base::Error(base::ErrorCode::kDeadlineExceeded,
                        fmt::format("the run has taken its --deadline of {} s and was stopped{}",
                                    job_.deadline_s, HintOfCheckpoint()));
    }
    if (job_.max_cost <= 0) return;
    const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch())
                            .count();
    const std::vector<report::Invocation> so_far(static_cast<size_t>(job_.n_workers),
                                                 {job_.memory_mb, now_ms - invoked_epoch_ms_});
    const double dollars = report::TotalDollars(
        report::CostOf(prices_, report::Architecture::kX86, so_far, {}, CacheNodesOf(seconds)));
    if (dollars <= job_.max_cost) return;
    throw base::Error(base::ErrorCode::kResourceExhausted,
                      fmt::format("the functions have cost {}, more than --max_cost {}, and were "
                                  "stopped{}",
                                  base::FormatDollars(dollars), job_.max_cost, HintOfCheckpoint()));
  }

  std::string PayloadOf(int64_t rank, int64_t generation, int64_t attempt) const {
    wire::Job payload = job_;
    payload.worker_index = rank;
    payload.generation = generation;
    payload.attempt = attempt;
    if (rank != 0) payload.origin.clear();
    payload.channel = store::WithoutPassword(payload.channel);
    payload.output.clear();
    payload.test.clear();
    payload.log.clear();
    payload.prices.clear();
    payload.function_url.clear();
    payload.run_folder.clear();
    return wire::JobToJson(payload).Dump();
  }

  base::Blob TakeModel() const {
    std::optional<base::Blob> model =
        run_store_->Get(kModelKey, base::Deadline::After(kCleanUpTimeout));
    if (!model) throw base::Error(base::ErrorCode::kInternal, "rank 0 left no model");
    return *std::move(model);
  }

  report::RunSummary Summarise(const std::vector<WorkerReport>& workers) {
    const TrainingOutcome& outcome = workers.front().outcome;
    report::RunSummary summary;
    workload_->Describe(job_, summary);
    summary.model = wire::NameOf(job_.model);
    summary.sync_mode = wire::NameOf(job_.sync_mode);
    summary.platform = wire::NameOf(job_.platform);
    summary.channel = channel_->url();
    summary.worker_count = job_.n_workers;
    summary.epochs = outcome.epochs;
    summary.stopped_by = outcome.stopped_by;
    summary.loss = outcome.loss;
    summary.accuracy = outcome.accuracy;
    summary.valid_loss = outcome.valid_loss;
    summary.valid_accuracy = outcome.valid_accuracy;
    summary.extra = outcome.details;
    summary.cluster_sizes = outcome.cluster_sizes;
    summary.model_path = job_.output;
    summary.memory_mb = job_.memory_mb;
    summary.generations = generations_;
    summary.restarts = restarts_;
    AddTimes(workers, summary);
    AddCost(workers, summary);
    return summary;
  }

  void AddTimes(const std::vector<WorkerReport>& workers, report::RunSummary& summary) const {
    const auto share = 1 / static_cast<double>(workers.size());
    for (const WorkerReport& worker : workers) {
      summary.rows += worker.rows;
      const auto startup_ms = static_cast<double>(worker.started_epoch_ms - invoked_epoch_ms_);
      summary.time.startup_seconds += share * std::max(0.0, startup_ms) / 1000;
      summary.time.load_seconds += share * worker.load_seconds;
      summary.time.compute_seconds += share * worker.compute_seconds;
      summary.time.synchronise_seconds += share * worker.synchronise_seconds;
    }
  }

  void AddCost(const std::vector<WorkerReport>& workers, report::RunSummary& summary) {
    for (const report::Invocation& invocation : invocations_) {
      summary.billed_ms += invocation.billed_ms;
    }
    std::map<std::string, report::ServiceUse> uses;
    const auto add = [&](const report::ServiceUse& use) {
      report::ServiceUse& total = uses[use.service];
      total.service = use.service;
      total += use;
    };
    for (const WorkerReport& worker : workers) std::ranges::for_each(worker.uses, add);
    add(UseOf(*channel_));
    add(UseOf(*run_store_));
    for (const auto& [service, use] : uses) summary.services.push_back(use);
    summary.invocations = static_cast<int64_t>(invocations_.size());
    summary.gb_seconds = report::GbSeconds(invocations_);
    summary.cost = report::CostOf(prices_, report::Architecture::kX86, invocations_,
                                  summary.services, CacheNodesOf(base::Seconds(Now() - started_)));
    summary.prices_as_of = prices_.as_of;
    summary.prices_region = prices_.region;
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
