#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <sys/ioctl.h>
#include <system_error>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/log.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/report/table.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/train/resume.h"
#include "lambdaml/train/trigger.h"
#include "lambdaml/wire/job_options.h"

#include "apps/lambdaml/commands.h"
#include "apps/lambdaml/interrupts.h"
#include "apps/lambdaml/job_file.h"
#include "apps/lambdaml/programs.h"

namespace lambdaml::cli {
namespace {

// The run as the user sees it: stages and a progress line on a terminal's standard error, epoch
// lines and the summary on standard output, JSON lines in the log.
class Display {
 public:
  explicit Display(const wire::Job& job)
      : epochs_max_(train::EpochsMax(job)), is_terminal_(::isatty(STDERR_FILENO) == 1) {
    if (job.log.empty()) return;
    log_ = std::make_unique<LogFile>(job.log);
  }

  void OnStage(const std::string& stage) {
    if (!is_terminal_) return;
    fmt::print(stderr, "{}{} …", report::ClearProgress(), stage);
  }

  // Names the job, so that its user can come back to it.
  void OnHandedOver(const wire::Job& job) {
    Close();
    std::string options;
    if (job.function_name != wire::Job().function_name) {
      options += fmt::format(" --function {}", job.function_name);
    }
    if (!job.run_folder.empty()) options += fmt::format(" --run_folder {}", job.run_folder);
    if (!job.region.empty()) options += fmt::format(" --region {}", job.region);
    WriteOutput(
        fmt::format("job {0} runs by itself: this program may be ended (Ctrl-C)\n"
                    "  lambdaml status {0}{1}\n"
                    "  lambdaml logs {0}\n"
                    "  lambdaml cancel {0}{1}\n",
                    job.job_id, options));
  }

  void OnEpoch(const report::EpochRecord& record) {
    if (is_terminal_) fmt::print(stderr, "{}", report::ClearProgress());
    if (!table_) {
      table_.emplace(record);
      WriteOutput(table_->Header() + "\n");
    }
    WriteOutput(table_->Line(record) + "\n");
    if (log_) log_->Write(report::ToJson(record));
    elapsed_seconds_ += record.seconds;
    if (!is_terminal_) return;
    const report::Progress progress = {.epoch = record.epoch,
                                       .n_epochs = epochs_max_,
                                       .objective = record.objective,
                                       .loss = record.loss,
                                       .elapsed_seconds = elapsed_seconds_};
    fmt::print(stderr, "{}", report::FormatProgress(progress, TerminalWidth()));
  }

  void OnSummary(const report::RunSummary& summary) {
    Close();
    WriteOutput("\n" + report::FormatSummary(summary));
    if (log_) log_->Write(report::ToJson(summary));
  }

  void OnError(const base::Error& error) {
    Close();
    if (log_) log_->Write(report::ToJson(error));
  }

 private:
  class LogFile {
   public:
    explicit LogFile(const std::string& path) : path_(path), file_(base::CreateFile(path)) {}

    void Write(const base::Json& record) {
      base::WriteAll(file_.get(), base::AsBytes(record.Dump() + "\n"), path_);
    }

   private:
    std::string path_;
    base::FileDescriptor file_;
  };

  void Close() const {
    if (is_terminal_) fmt::print(stderr, "{}", report::ClearProgress());
  }

  static int TerminalWidth() {
    winsize size = {};
    const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
  }

  const int64_t epochs_max_;
  const bool is_terminal_;
  std::optional<report::EpochTable> table_;
  std::unique_ptr<LogFile> log_;
  double elapsed_seconds_ = 0;
};

// A log starts empty: it must not take the place of what the run reads or writes.
void CheckLog(const TrainArguments& arguments, const wire::Job& job) {
  if (job.log.empty()) return;
  for (const std::string& other :
       {arguments.job_file, job.data, job.test, job.init_model, job.prices, job.output}) {
    std::error_code error;  // of files that do not exist
    if (other != job.log && !std::filesystem::equivalent(other, job.log, error)) continue;
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("--log {} is a file of the run itself: name another", job.log));
  }
}

wire::Job Resumed(const TrainArguments& arguments, const std::string& place) {
  for (const auto& [name, text] : arguments.options) {
    if (train::MayChange(name)) continue;
    throw base::Error(
        base::ErrorCode::kInvalidArgument,
        fmt::format("--{} cannot change in a run that is resumed: it decides what the "
                    "run computes",
                    name));
  }
  if (!arguments.job_file.empty()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "--resume goes on with the job as it was: leave the job file out");
  }
  std::string warning;
  wire::Job job = train::ResumedJob(place, &warning);
  if (!warning.empty()) base::Log(base::LogLevel::kWarning, warning);
  // Where the old platform's functions are says nothing of a new one's.
  if (std::ranges::any_of(arguments.options,
                          [](const auto& option) { return option.first == "platform"; })) {
    job.function_url.clear();
    job.run_folder.clear();
  }
  return job;
}

wire::Job JobOf(const TrainArguments& arguments) {
  wire::Job job;
  if (!arguments.job_file.empty()) job = ReadJobFile(arguments.job_file);
  const auto resume = std::ranges::find(arguments.options, "resume",
                                        [](const auto& option) { return option.first; });
  if (resume != arguments.options.end()) job = Resumed(arguments, resume->second);
  for (const auto& [name, text] : arguments.options) {
    wire::SetOptionFromText(job, name, text, fmt::format("--{}", name));
  }
  train::ResolveJob(job);
  CheckLog(arguments, job);
  return job;
}

}  // namespace

void Run(const TrainArguments& arguments) {
  const wire::Job job = JobOf(arguments);
  Display display(job);
  const InterruptScope interrupts;
  try {
    const report::RunSummary summary = train::RunJob(
        job, {.worker_program = ProgramBeside("lambdaml-worker"),
              .interrupted = interrupts.flag(),
              .on_stage = [&](const std::string& stage) { display.OnStage(stage); },
              .on_epoch = [&](const report::EpochRecord& record) { display.OnEpoch(record); },
              .on_handed_over = [&](const wire::Job& handed) { display.OnHandedOver(handed); }});
    display.OnSummary(summary);
  } catch (const base::Error& error) {
    display.OnError(error);
    throw;
  }
}

}  // namespace lambdaml::cli
