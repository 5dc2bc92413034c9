// status, logs and cancel of a job that runs by itself (train --trigger lambda).
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/aws/lambda.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/place/place.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/report/table.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/train/aws_platform.h"
#include "lambdaml/train/job_record.h"
#include "lambdaml/train/platform.h"
#include "lambdaml/train/worker.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {
namespace {

using base::Error;
using base::ErrorCode;

constexpr base::Duration kTimeout = std::chrono::minutes(1);
constexpr base::Duration kPoll = std::chrono::milliseconds(500);
constexpr base::Duration kCancelPatience = std::chrono::seconds(30);

void Show(const std::string& line) { WriteOutput(line + "\n"); }

// The folder of one job, which its functions share with whoever asks.
class JobFolder {
 public:
  explicit JobFolder(const JobArguments& arguments)
      : job_(arguments.job),
        deadline_(base::Deadline::After(kTimeout)),
        store_(store::OpenStore(train::UrlIn(FolderOf(arguments, deadline_), arguments.job))),
        record_(*store_, arguments.job) {}

  const std::string& job() const { return job_; }
  train::JobRecord& record() { return record_; }
  const base::Deadline& deadline() const { return deadline_; }

  // The records of the last epochs, `count_max` at most.
  std::vector<report::EpochRecord> LastEpochs(int64_t count_max) {
    const std::string first = train::ProgressKey(job_, 1);
    const std::string prefix = first.substr(0, first.rfind('/') + 1);
    const auto epochs = static_cast<int64_t>(store_->List(prefix, deadline_).size());
    std::vector<report::EpochRecord> records;
    for (int64_t epoch = std::max<int64_t>(1, epochs - count_max + 1); epoch <= epochs; ++epoch) {
      const std::string key = train::ProgressKey(job_, epoch);
      const std::optional<base::Blob> record = store_->Get(key, deadline_);
      if (!record) break;
      records.push_back(report::EpochFromJson(base::Json::Parse(record->text(), key)));
    }
    return records;
  }

 private:
  // --run_folder, or what the function says of itself.
  static std::string FolderOf(const JobArguments& arguments, const base::Deadline& deadline) {
    if (!arguments.run_folder.empty()) return arguments.run_folder;
    aws::Session session;
    if (!arguments.region.empty()) session.region = arguments.region;
    const auto function =
        aws::Lambda(session).GetFunctionConfiguration(arguments.function, deadline);
    if (!function) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("there is no function {}: --function names another, or --run_folder "
                              "the folder of the job",
                              arguments.function));
    }
    const auto jobs = function->environment.find(train::kJobsVariable);
    if (jobs == function->environment.end()) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("the function {} does not say where jobs are: give --run_folder",
                              arguments.function));
    }
    return train::WithRegion(jobs->second, arguments.region);
  }

  const std::string job_;
  const base::Deadline deadline_;
  const std::unique_ptr<store::Store> store_;
  train::JobRecord record_;
};

std::string Ago(int64_t epoch_ms) {
  const double seconds = static_cast<double>(train::NowEpochMs() - epoch_ms) / 1000;
  return fmt::format("{} ago", base::FormatSeconds(std::max(0.0, seconds)));
}

std::string PhaseLine(const train::JobState& state) {
  if (state.phase != train::JobPhase::kRunning) return std::string(NameOf(state.phase));
  if (train::NowEpochMs() > state.ends_epoch_ms + train::kLostAfter.count()) {
    return fmt::format("lost: its trigger was last heard of {}", Ago(state.written_epoch_ms));
  }
  int64_t generation = 0;
  for (const train::RankProgress& rank : state.ranks) {
    generation = std::max(generation, rank.generation);
  }
  return fmt::format("running, generation {}, {} restarts, written {}", generation, state.restarts,
                     Ago(state.written_epoch_ms));
}

void ShowEpochs(const std::vector<report::EpochRecord>& epochs) {
  if (epochs.empty()) return;
  const report::EpochTable table(epochs.front());
  Show(table.Header());
  for (const report::EpochRecord& epoch : epochs) Show(table.Line(epoch));
}

void SaveModel(JobFolder& folder, const train::JobState& state, const std::string& output) {
  if (state.phase != train::JobPhase::kFinished) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("job {} has no model: it is {}", folder.job(), NameOf(state.phase)));
  }
  const std::optional<base::Blob> model = folder.record().Output(folder.deadline());
  place::Write(output, (model ? *model : place::Read(state.output)).span());
  Show(fmt::format("{:<10} {}", "saved", output));
}

}  // namespace

void ShowJob(const StatusArguments& arguments) {
  JobFolder folder(arguments.job);
  const train::JobPlan plan = folder.record().Plan(folder.deadline());
  const std::optional<train::JobState> state = folder.record().State(folder.deadline());
  Show(fmt::format("{:<10} {}, started {}", "job", folder.job(), Ago(plan.started_epoch_ms)));
  Show(fmt::format("{:<10} {}", "state",
                   state ? PhaseLine(*state) : "waiting for its first trigger"));
  if (state && !state->message.empty()) Show(fmt::format("{:<10} {}", "reason", state->message));
  if (state && !state->summary) {
    Show(
        fmt::format("{:<10} {} for functions so far", "cost", base::FormatDollars(state->dollars)));
  }
  ShowEpochs(folder.LastEpochs(arguments.epochs));
  if (state && state->summary) {
    Show("\n" + report::FormatSummary(*state->summary));
    Show(fmt::format("{:<10} {}", "model", state->output));
  }
  if (!arguments.output.empty()) {
    SaveModel(folder, state.value_or(train::JobState{}), arguments.output);
  }
}

void Run(const CancelArguments& arguments) {
  JobFolder folder(arguments.job);
  folder.record().Plan(folder.deadline());
  const auto ended = [&]() -> std::optional<train::JobState> {
    auto state = folder.record().State(folder.deadline());
    if (state && state->phase == train::JobPhase::kRunning) state.reset();
    return state;
  };
  if (const auto state = ended()) {
    return Show(fmt::format("job {} is over: {}", folder.job(), NameOf(state->phase)));
  }
  folder.record().DeleteRunning(folder.deadline());
  const base::Deadline patience = base::Deadline::After(kCancelPatience);
  while (!patience.Expired()) {
    base::SystemClock().SleepFor(kPoll);
    const auto state = ended();
    if (!state) continue;
    Show(fmt::format("job {} is over: {}", folder.job(), NameOf(state->phase)));
    if (!state->message.empty()) Show(state->message);
    return;
  }
  throw Error(ErrorCode::kDeadlineExceeded,
              fmt::format("job {} was told to end, but its trigger has not answered for {} s: its "
                          "workers end by themselves, see `lambdaml status {}`",
                          folder.job(), static_cast<int64_t>(base::Seconds(kCancelPatience)),
                          folder.job()));
}

}  // namespace lambdaml::cli
