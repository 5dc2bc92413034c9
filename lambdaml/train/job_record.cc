#include "lambdaml/train/job_record.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/json.h"
#include "lambdaml/train/platform.h"

namespace lambdaml::train {
namespace {

constexpr std::array<std::string_view, 4> kPhaseNames = {"running", "finished", "failed",
                                                         "cancelled"};

base::Json ToJson(const RankProgress& progress) {
  base::Json json = base::Json::EmptyObject();
  json.Set("generation", progress.generation);
  json.Set("attempt", progress.attempt);
  json.Set("is_finished", progress.is_finished);
  json.Set("generations_ended", progress.generations_ended);
  json.Set("report", train::ToJson(progress.report));
  return json;
}

RankProgress ProgressFromJson(const base::Json& json) {
  return {.generation = json.At("generation").AsInteger(),
          .attempt = json.At("attempt").AsInteger(),
          .is_finished = json.At("is_finished").AsBool(),
          .generations_ended = json.At("generations_ended").AsInteger(),
          .report = WorkerReportFromJson(json.At("report"))};
}

JobPhase PhaseFromName(const std::string& name) {
  for (size_t i = 0; i < kPhaseNames.size(); ++i) {
    if (kPhaseNames.at(i) == name) return static_cast<JobPhase>(i);
  }
  throw base::Error(base::ErrorCode::kInvalidData,
                    fmt::format("a job's state: \"{}\" is no phase", name));
}

}  // namespace

std::string_view NameOf(JobPhase phase) { return kPhaseNames.at(static_cast<size_t>(phase)); }

int64_t NowEpochMs() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

base::Json ToJson(const JobPlan& plan) {
  base::Json json = base::Json::EmptyObject();
  json.Set("job", wire::JobToJson(plan.job));
  json.Set("described", report::ToJson(plan.described));
  json.Set("prices", plan.prices);
  json.Set("started_epoch_ms", plan.started_epoch_ms);
  return json;
}

JobPlan JobPlanFromJson(const base::Json& json) {
  return {.job = wire::JobFromJson(json.At("job"), "a job's plan"),
          .described = report::SummaryFromJson(json.At("described")),
          .prices = json.At("prices").AsString(),
          .started_epoch_ms = json.At("started_epoch_ms").AsInteger()};
}

base::Json ToJson(const JobState& state) {
  base::Json json = base::Json::EmptyObject();
  json.Set("phase", NameOf(state.phase));
  json.Set("code", base::ErrorCodeName(state.code));
  json.Set("message", state.message);
  json.Set("hop", state.hop);
  json.Set("written_epoch_ms", state.written_epoch_ms);
  json.Set("ends_epoch_ms", state.ends_epoch_ms);
  base::Json ranks = base::Json::EmptyArray();
  for (const RankProgress& progress : state.ranks) ranks.Append(ToJson(progress));
  json.Set("ranks", std::move(ranks));
  base::Json invocations = base::Json::EmptyArray();
  for (const report::Invocation& invocation : state.invocations) {
    invocations.Append(base::Json::Array{invocation.memory_mb, invocation.billed_ms});
  }
  json.Set("invocations", std::move(invocations));
  base::Json uses = base::Json::EmptyArray();
  for (const report::ServiceUse& use : state.uses) uses.Append(report::ToJson(use));
  json.Set("uses", std::move(uses));
  json.Set("invoked_epoch_ms", state.invoked_epoch_ms);
  json.Set("restarts", state.restarts);
  json.Set("dollars", state.dollars);
  if (state.summary) json.Set("summary", report::ToJson(*state.summary));
  json.Set("output", state.output);
  return json;
}

JobState JobStateFromJson(const base::Json& json) {
  JobState state;
  state.phase = PhaseFromName(json.At("phase").AsString());
  state.code = base::ErrorCodeFromName(json.At("code").AsString());
  state.message = json.At("message").AsString();
  state.hop = json.At("hop").AsInteger();
  state.written_epoch_ms = json.At("written_epoch_ms").AsInteger();
  state.ends_epoch_ms = json.At("ends_epoch_ms").AsInteger();
  for (const base::Json& rank : json.At("ranks").AsArray()) {
    state.ranks.push_back(ProgressFromJson(rank));
  }
  for (const base::Json& invocation : json.At("invocations").AsArray()) {
    const base::Json::Array& numbers = invocation.AsArray();
    if (numbers.size() != 2) {
      throw base::Error(base::ErrorCode::kInvalidData, "a job's state: an invocation is a pair");
    }
    state.invocations.push_back({numbers[0].AsInteger(), numbers[1].AsInteger()});
  }
  for (const base::Json& use : json.At("uses").AsArray()) {
    state.uses.push_back(report::ServiceUseFromJson(use));
  }
  state.invoked_epoch_ms = json.At("invoked_epoch_ms").AsInteger();
  state.restarts = json.At("restarts").AsInteger();
  state.dollars = json.At("dollars").AsNumber();
  if (const base::Json* summary = json.Find("summary")) {
    state.summary = report::SummaryFromJson(*summary);
  }
  state.output = json.At("output").AsString();
  return state;
}

JobRecord::JobRecord(store::Store& run_store, std::string job_id)
    : run_store_(run_store), job_id_(std::move(job_id)) {}

std::string JobRecord::Key(std::string_view name) const {
  return fmt::format("{}/{}", job_id_, name);
}

void JobRecord::PutPlan(const JobPlan& plan, const base::Deadline& deadline) {
  run_store_.Put(Key("plan"), base::AsBytes(ToJson(plan).Dump()), deadline);
}

JobPlan JobRecord::Plan(const base::Deadline& deadline) {
  const std::optional<base::Blob> plan = run_store_.Get(Key("plan"), deadline);
  if (!plan) {
    throw base::Error(base::ErrorCode::kNotFound,
                      fmt::format("there is no job {} in {}: it was not started with --trigger "
                                  "lambda, or has been cleaned up",
                                  job_id_, run_store_.url()));
  }
  return JobPlanFromJson(base::Json::Parse(plan->text(), Key("plan")));
}

void JobRecord::PutState(const JobState& state, const base::Deadline& deadline) {
  run_store_.Put(Key("state"), base::AsBytes(ToJson(state).Dump()), deadline);
}

std::optional<JobState> JobRecord::State(const base::Deadline& deadline) {
  const std::optional<base::Blob> state = run_store_.Get(Key("state"), deadline);
  if (!state) return std::nullopt;
  return JobStateFromJson(base::Json::Parse(state->text(), Key("state")));
}

void JobRecord::PutRunning(const base::Deadline& deadline) {
  run_store_.Put(Key("running"), base::AsBytes("{}"), deadline);
}

bool JobRecord::IsRunning(const base::Deadline& deadline) {
  return run_store_.Get(Key("running"), deadline).has_value();
}

void JobRecord::DeleteRunning(const base::Deadline& deadline) {
  const std::string key = Key("running");
  run_store_.Delete({&key, 1}, deadline);
}

JobRecord::Claim JobRecord::BeginHop(int64_t hop, std::string_view invocation,
                                     const base::Deadline& deadline) {
  const std::string key = Key(fmt::format("hop/{}", hop));
  base::Json mine = base::Json::EmptyObject();
  mine.Set("invocation", invocation);
  mine.Set("begun_epoch_ms", NowEpochMs());
  mine.Set("nonce", static_cast<int64_t>(std::random_device()()));  // of two with one id, at once
  const std::string text = mine.Dump();
  if (run_store_.PutIfAbsent(key, base::AsBytes(text), deadline)) return Claim::kFirst;
  const std::optional<base::Blob> found = run_store_.Get(key, deadline);
  if (!found) return Claim::kRefused;               // the job has been cleaned up
  if (found->text() == text) return Claim::kFirst;  // the answer to this very put was lost
  const base::Json other = base::Json::Parse(found->text(), key);
  int64_t heard_epoch_ms = other.At("begun_epoch_ms").AsInteger();
  const std::optional<JobState> state = State(deadline);
  if (state) {
    if (state->phase != JobPhase::kRunning || state->hop > hop) return Claim::kRefused;
    if (state->hop == hop) heard_epoch_ms = std::max(heard_epoch_ms, state->written_epoch_ms);
  }
  if (NowEpochMs() - heard_epoch_ms <= kSilenceMax.count()) return Claim::kRefused;
  run_store_.Put(key, base::AsBytes(text), deadline);
  return Claim::kTakenOver;
}

void JobRecord::PutOutput(base::ByteSpan model, const base::Deadline& deadline) {
  run_store_.Put(Key("output"), model, deadline);
}

std::optional<base::Blob> JobRecord::Output(const base::Deadline& deadline) {
  return run_store_.Get(Key("output"), deadline);
}

std::string JobRecord::OutputUrl() const { return UrlIn(run_store_.url(), Key("output")); }

}  // namespace lambdaml::train
