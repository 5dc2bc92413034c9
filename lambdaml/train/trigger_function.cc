#include "lambdaml/train/trigger_function.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "lambdaml/aws/session.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/comm/channel.h"
#include "lambdaml/faas/aws_invoker.h"
#include "lambdaml/place/place.h"
#include "lambdaml/report/prices.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/train/billed_invoker.h"
#include "lambdaml/train/checkpoints.h"
#include "lambdaml/train/gang.h"
#include "lambdaml/train/job_record.h"
#include "lambdaml/train/resume.h"
#include "lambdaml/train/run_summary.h"
#include "lambdaml/train/service_use.h"
#include "lambdaml/train/worker.h"
#include "lambdaml/train/worker_payload.h"
#include "lambdaml/train/workload.h"

namespace lambdaml::train {
namespace {

constexpr std::string_view kPayloadKey = "trigger_hop";

constexpr base::Duration kStoreTimeout = std::chrono::seconds(30);
constexpr base::Duration kPrepareTimeout = std::chrono::minutes(2);
constexpr base::Duration kInvokeTimeout = std::chrono::seconds(30);
constexpr base::Duration kLookPause = std::chrono::seconds(1);  // between looks for a cancellation
constexpr base::Duration kWritePause = std::chrono::seconds(10);  // between notes of the state
constexpr base::Duration kFarewell =
    std::chrono::seconds(10);  // of workers of a job that ends early
constexpr base::Duration kPoll = std::chrono::milliseconds(50);

// What a hop keeps of its own time for what comes after its workers: a third of it for them to
// answer, a second for calls to be given up, the rest for the record and the next hop.
base::Duration ReserveOf(base::Duration remaining) {
  return std::clamp<base::Duration>(remaining / 5, std::chrono::milliseconds(300),
                                    std::chrono::seconds(15));
}

base::Deadline Soon() { return base::Deadline::After(kStoreTimeout); }

class Hop {
 public:
  Hop(const TriggerHop& hop, const TriggerEnvironment& environment)
      : hop_(hop),
        environment_(environment),
        started_epoch_ms_(NowEpochMs()),
        reserve_(ReserveOf(environment.deadline.Remaining())),
        run_store_(store::OpenStore(hop.run)),
        record_(*run_store_, hop.job_id) {}

  std::string Run() {
    const JobRecord::Claim claim = record_.BeginHop(hop_.hop, environment_.invocation, Soon());
    if (claim == JobRecord::Claim::kRefused) {
      return fmt::format("hop {} of job {} is another invocation's", hop_.hop, hop_.job_id);
    }
    try {
      Begin();
      if (claim == JobRecord::Claim::kTakenOver) TakeOver();
      Train();
    } catch (const base::Error& error) {
      End(error);
    }
    return fmt::format("hop {} of job {}: {}", hop_.hop, hop_.job_id, NameOf(state_.phase));
  }

 private:
  void Begin() {
    state_ = record_.State(Soon()).value_or(JobState{});
    plan_ = record_.Plan(Soon());
    job_ = plan_.job;
    prices_ = plan_.prices.empty() ? report::Prices::Embedded()
                                   : report::Prices::Parse(plan_.prices, "--prices");
    billed_before_ = state_.invocations;
    uses_before_ = state_.uses;
    state_.hop = hop_.hop;
    state_.ends_epoch_ms =
        NowEpochMs() +
        std::chrono::ceil<std::chrono::milliseconds>(environment_.deadline.Remaining()).count();
  }

  // What the trigger that died has invoked may run still: these are further attempts.
  void TakeOver() {
    base::Log(
        base::LogLevel::kWarning,
        fmt::format("job {}: the trigger of hop {} has died; taking over", hop_.job_id, hop_.hop));
    ++state_.restarts;
    for (RankProgress& rank : state_.ranks) {
      if (!rank.is_finished) ++rank.attempt;
    }
  }

  void Train() {
    ThrowIfCancelled();
    channel_ = comm::OpenChannel(job_.channel, net::kFirstContactMax);
    CheckPrices(job_, prices_, channel_->service());
    checkpoints_.emplace(job_.checkpoint, job_.job_id);
    invoker_ = MakeInvoker();
    if (state_.ranks.empty()) {
      channel_->Prepare(job_.job_id, base::Deadline::Earlier(base::Deadline::After(kPrepareTimeout),
                                                             environment_.deadline));
      state_.invoked_epoch_ms = NowEpochMs();
      state_.ranks.assign(static_cast<size_t>(job_.n_workers), {.generation = job_.generation});
    }
    Write();
    RunGeneration();
    const bool is_finished = std::ranges::all_of(state_.ranks, &RankProgress::is_finished);
    if (is_finished) return Finish();
    InvokeNextHop();
  }

  std::unique_ptr<BilledInvoker> MakeInvoker() {
    const net::AwsClientOptions lambda = aws::ClientOptions(aws::Session(), "lambda", nullptr);
    return std::make_unique<BilledInvoker>(faas::MakeAwsInvoker({.region = lambda.region,
                                                                 .endpoint = lambda.endpoint,
                                                                 .credentials = lambda.credentials,
                                                                 .cancelled = &cancelled_}),
                                           job_.memory_mb);
  }

  // Until every rank has ended the generation, or must be left to the next hop.
  void RunGeneration() {
    const base::Duration for_workers = environment_.deadline.Remaining() - reserve_;
    const base::Deadline workers_end = base::Deadline::After(for_workers);
    wire::Job job = job_;
    job.ends_at_ms =
        NowEpochMs() + std::chrono::floor<std::chrono::milliseconds>(for_workers).count();
    Gang gang(*invoker_,
              {.function_name = environment_.function_name,
               .worker_count = job_.n_workers,
               .begin = state_.ranks,
               .last_generation =
                   std::ranges::max(state_.ranks, {}, &RankProgress::generation).generation,
               .last_start = workers_end,
               .max_restarts = job_.max_restarts,
               .patience = environment_.deadline.Remaining(),
               .payload_of =
                   [&job](int64_t rank, int64_t generation, int64_t attempt) {
                     return WorkerPayload(job, rank, generation, attempt);
                   },
               .on_restart =
                   [this](const std::string& message) {
                     base::Log(base::LogLevel::kWarning,
                               fmt::format("job {}: {}", hop_.job_id, message));
                   }});
    try {
      WaitFor(gang, workers_end);
    } catch (...) {
      gang.Stop();
      Dismiss(gang);
      cancelled_ = true;  // ends the calls under way
      throw;
    }
    state_.restarts += gang.restarts();
    state_.ranks = gang.TakeProgress();
  }

  // Workers that see that nobody wants the job any more end, and leave nothing behind.
  void Dismiss(Gang& gang) {
    try {
      record_.DeleteRunning(Soon());
      gang.WaitUntilIdle(std::min(kFarewell, environment_.deadline.Remaining() - reserve_ / 2));
    } catch (const base::Error&) {
      // They end when their peers do not answer.
    }
  }

  void WaitFor(Gang& gang, const base::Deadline& workers_end) {
    const base::TimePoint start = base::SystemClock().Now();
    base::TimePoint looked = start;
    base::TimePoint written = start;
    while (!gang.WaitFor(kPoll)) {
      const base::TimePoint now = base::SystemClock().Now();
      if (now - looked >= kLookPause) {
        looked = now;
        ThrowIfCancelled();
        CheckLimits(
            job_, SecondsOfRun(), [&] { return Dollars(now - start); }, [] { return ""; });
      }
      if (now - written >= kWritePause) {
        written = now;
        state_.dollars = Dollars(now - start);
        Write();
      }
      // Workers that have not ended by now hang: the next hop starts them again.
      if (workers_end.Remaining() < -reserve_ / 3) {
        gang.Abandon();
        cancelled_ = true;
      }
    }
    if (const std::optional<WorkerFailure> failure = gang.failure()) throw failure->error;
  }

  // Leaves the model where it belongs and the job's record for whoever asks.
  void Finish() {
    const std::optional<base::Blob> model = run_store_->Get(kModelKey, Soon());
    if (!model) throw base::Error(base::ErrorCode::kInternal, "rank 0 left no model");
    const base::Blob output = WorkloadOf(job_.model).at_trigger()->OutputOf(job_, *model);
    if (place::IsLocal(job_.output)) {
      record_.PutOutput(output.span(), Soon());
      state_.output = record_.OutputUrl();
    } else {
      place::Write(job_.output, output.span());
      state_.output = job_.output;
    }
    CleanUp();
    checkpoints_->DeleteAll(Soon());
    NoteUse();
    report::RunSummary summary = plan_.described;
    RunFigures figures = {.invocations = state_.invocations,
                          .uses = state_.uses,
                          .invoked_epoch_ms = state_.invoked_epoch_ms,
                          .restarts = state_.restarts,
                          .seconds = SecondsOfRun()};
    for (const RankProgress& rank : state_.ranks) {
      figures.workers.push_back(rank.report);
      figures.generations = std::max(figures.generations, rank.generations_ended);
    }
    Summarise(job_, figures, prices_, summary);
    summary.channel = channel_->url();
    summary.wall_seconds = figures.seconds;
    summary.model_path = state_.output;
    state_.summary = std::move(summary);
    state_.phase = JobPhase::kFinished;
    Write();
    record_.DeleteRunning(Soon());
  }

  void InvokeNextHop() {
    if (hop_.hop >= kHopsMax) {
      throw base::Error(
          base::ErrorCode::kResourceExhausted,
          fmt::format("the job has had {} triggers, the most there may be", kHopsMax));
    }
    NoteUse();
    state_.dollars = DollarsSoFar(job_, prices_, state_.invocations, SecondsOfRun());
    Write();
    const TriggerHop next = {.run = hop_.run, .job_id = hop_.job_id, .hop = hop_.hop + 1};
    cancelled_ = false;
    invoker_->InvokeAsync(environment_.function_name, ToPayload(next),
                          base::Deadline::After(kInvokeTimeout));
  }

  // The job ends without a model.
  void End(const base::Error& error) {
    const bool is_cancelled = error.code() == base::ErrorCode::kCancelled;
    state_.phase = is_cancelled ? JobPhase::kCancelled : JobPhase::kFailed;
    state_.code = error.code();
    state_.message = error.message() + Hint();
    record_.DeleteRunning(Soon());  // workers that still run ask for it
    CleanUp();
    NoteUse();
    state_.dollars = DollarsSoFar(job_, prices_, state_.invocations, SecondsOfRun());
    Write();
  }

  std::string Hint() {
    try {
      return checkpoints_ ? HintOfResume(*checkpoints_, job_.checkpoint, Soon()) : "";
    } catch (const base::Error&) {
      return "";  // the run's own error matters more
    }
  }

  // Deletes what only a job under way needs. Never throws.
  void CleanUp() {
    const auto warn = [&](const base::Error& error) {
      base::Log(base::LogLevel::kWarning,
                fmt::format("what job {} left is still there: {}", hop_.job_id, error.message()));
    };
    try {
      if (channel_) channel_->CleanUp(job_.job_id, Soon());
    } catch (const base::Error& error) {
      warn(error);
    }
    try {
      run_store_->DeletePrefix("shards/", Soon());
    } catch (const base::Error& error) {
      warn(error);
    }
  }

  // Takes into the state what has been used so far, this function among it.
  void NoteUse() {
    if (invoker_) std::ranges::copy(invoker_->Take(), std::back_inserter(billed_before_));
    state_.invocations = billed_before_;
    state_.invocations.push_back({environment_.memory_mb, NowEpochMs() - started_epoch_ms_});
    state_.uses = uses_before_;
    AddUse(state_.uses, UseOf(*run_store_));
    if (channel_) AddUse(state_.uses, UseOf(*channel_));
  }

  double SecondsOfRun() const {
    return static_cast<double>(NowEpochMs() - plan_.started_epoch_ms) / 1000;
  }

  // As if all workers had run as long as this hop.
  double Dollars(base::Duration of_hop) const {
    std::vector<report::Invocation> so_far = billed_before_;
    const int64_t ms = report::BilledMs(of_hop);
    so_far.insert(so_far.end(), static_cast<size_t>(job_.n_workers), {job_.memory_mb, ms});
    so_far.push_back({environment_.memory_mb, NowEpochMs() - started_epoch_ms_});
    return DollarsSoFar(job_, prices_, so_far, SecondsOfRun());
  }

  void ThrowIfCancelled() {
    if (record_.IsRunning(Soon())) return;
    throw base::Error(base::ErrorCode::kCancelled, "the job was cancelled");
  }

  void Write() {
    state_.written_epoch_ms = NowEpochMs();
    record_.PutState(state_, Soon());
  }

  const TriggerHop hop_;
  const TriggerEnvironment environment_;
  const int64_t started_epoch_ms_;
  const base::Duration reserve_;
  const std::unique_ptr<store::Store> run_store_;
  JobRecord record_;
  JobPlan plan_;
  wire::Job job_;
  report::Prices prices_;
  JobState state_;
  std::vector<report::Invocation> billed_before_;
  std::vector<report::ServiceUse> uses_before_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<comm::Channel> channel_;
  std::optional<Checkpoints> checkpoints_;
  std::unique_ptr<BilledInvoker> invoker_;
};

}  // namespace

std::string ToPayload(const TriggerHop& hop) {
  base::Json inner = base::Json::EmptyObject();
  inner.Set("run", hop.run);
  inner.Set("job_id", hop.job_id);
  inner.Set("hop", hop.hop);
  base::Json payload = base::Json::EmptyObject();
  payload.Set(kPayloadKey, std::move(inner));
  return payload.Dump();
}

std::optional<TriggerHop> TriggerHopIn(const base::Json& payload) {
  const base::Json* hop = payload.is_object() ? payload.Find(kPayloadKey) : nullptr;
  if (hop == nullptr) return std::nullopt;
  return TriggerHop{.run = hop->At("run").AsString(),
                    .job_id = hop->At("job_id").AsString(),
                    .hop = hop->At("hop").AsInteger()};
}

std::string RunTriggerHop(const TriggerHop& hop, const TriggerEnvironment& environment) {
  return Hop(hop, environment).Run();
}

}  // namespace lambdaml::train
