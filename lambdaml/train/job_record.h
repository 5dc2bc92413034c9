// What a job on its own leaves in its run's store for those who come later: its next trigger,
// `lambdaml status`, `lambdaml cancel`. Beside progress and model (worker.h) these are
//
//   <job>/plan      the settled job, and what is known of its run beforehand; written once
//   <job>/running   there until the job is over, or is to be over: deleting it cancels the job
//   <job>/hop/<n>   which invocation is trigger n of the job, and since when
//   <job>/state     how far the job is; written by its trigger every few seconds
//   <job>/output    the finished model in the output's format, unless that has a place of its own
//
// Values are JSON; each read or write is one request.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/store/store.h"
#include "lambdaml/train/gang.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

struct JobPlan {
  wire::Job job;
  report::RunSummary described;  // what the workload says of the job and its data
  std::string prices;            // the text of --prices; empty: the built-in ones
  int64_t started_epoch_ms = 0;
};

enum class JobPhase { kRunning, kFinished, kFailed, kCancelled };
// "running", "finished", "failed", "cancelled".
std::string_view NameOf(JobPhase phase);

struct JobState {
  JobPhase phase = JobPhase::kRunning;
  base::ErrorCode code = base::ErrorCode::kInternal;  // of a job that has ended without a model
  std::string message = {};
  int64_t hop = 1;               // which of the job's triggers has written this
  int64_t written_epoch_ms = 0;  // when
  int64_t ends_epoch_ms = 0;     // when that trigger is over, whatever happens
  std::vector<RankProgress> ranks = {};
  std::vector<report::Invocation> invocations = {};  // that have ended
  std::vector<report::ServiceUse> uses = {};         // of the triggers themselves
  int64_t invoked_epoch_ms = 0;                      // when the workers were, first
  int64_t restarts = 0;
  double dollars = 0;                              // functions and cache nodes, so far
  std::optional<report::RunSummary> summary = {};  // of a finished job
  std::string output = {};                         // the URL of its model
};

base::Json ToJson(const JobPlan& plan);
base::Json ToJson(const JobState& state);
// Errors of both: kInvalidData, kInvalidArgument.
JobPlan JobPlanFromJson(const base::Json& json);
JobState JobStateFromJson(const base::Json& json);

// A trigger writes the state at least every 10 s; one that has written nothing for so long is dead.
inline constexpr std::chrono::milliseconds kSilenceMax = std::chrono::seconds(30);
// How long after its trigger should have ended a job counts as lost: the platform may try again,
// after one and after two minutes.
inline constexpr std::chrono::milliseconds kLostAfter = std::chrono::minutes(4);

// Threads: one.
class JobRecord {
 public:
  // The store must live as long.
  JobRecord(store::Store& run_store, std::string job_id);

  void PutPlan(const JobPlan& plan, const base::Deadline& deadline);
  // Errors: kNotFound if there is no such job.
  JobPlan Plan(const base::Deadline& deadline);

  void PutState(const JobState& state, const base::Deadline& deadline);
  // Nothing until the first trigger has begun.
  std::optional<JobState> State(const base::Deadline& deadline);

  void PutRunning(const base::Deadline& deadline);
  bool IsRunning(const base::Deadline& deadline);
  void DeleteRunning(const base::Deadline& deadline);

  enum class Claim { kFirst, kTakenOver, kRefused };
  // To be called by a trigger before all else. Refused if another invocation has begun the hop:
  // events may come twice. Taken over if that one has written nothing for kSilenceMax: it has died,
  // and the platform tries again. invocation: this one's id, which a second try may share.
  Claim BeginHop(int64_t hop, std::string_view invocation, const base::Deadline& deadline);

  void PutOutput(base::ByteSpan model, const base::Deadline& deadline);
  std::optional<base::Blob> Output(const base::Deadline& deadline);
  std::string OutputUrl() const;

 private:
  std::string Key(std::string_view name) const;

  store::Store& run_store_;
  const std::string job_id_;
};

// Milliseconds since the Unix epoch, now.
int64_t NowEpochMs();

}  // namespace lambdaml::train
