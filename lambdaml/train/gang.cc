#include "lambdaml/train/gang.h"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <system_error>
#include <utility>

#include "lambdaml/base/json.h"
#include "lambdaml/train/service_use.h"

namespace lambdaml::train {
namespace {

// Lambda's error types for what happens to the process, in the project's codes.
base::ErrorCode CodeOfErrorType(std::string_view type) {
  if (type == "Sandbox.Timedout") return base::ErrorCode::kDeadlineExceeded;
  if (type.find("OutOfMemory") != std::string_view::npos)
    return base::ErrorCode::kResourceExhausted;
  if (type.starts_with("Runtime.") || type.starts_with("Sandbox.")) {
    return base::ErrorCode::kUnavailable;
  }
  return base::ErrorCodeFromName(type);
}

// Advice for what users meet and can mend.
std::string_view AdviceFor(std::string_view type) {
  if (type.find("OutOfMemory") != std::string_view::npos) {
    return "; give --memory_mb more, or more --workers";
  }
  if (type == "Sandbox.Timedout") return "; give --timeout more, or more --workers";
  return "";
}

// Lambda's message without the request id that it starts with, which tells people nothing.
std::string_view WithoutRequestId(std::string_view message) {
  constexpr std::string_view kStart = "RequestId: ";
  constexpr std::string_view kEnd = " Error: ";
  const size_t end = message.find(kEnd);
  if (!message.starts_with(kStart) || end == std::string_view::npos) return message;
  return message.substr(end + kEnd.size());
}

// What the function itself wrote among the platform's lines.
std::string OwnLines(std::string_view log) {
  std::string own;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, std::min(log.find('\n'), log.size()));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    const bool of_platform = line.starts_with("START RequestId:") ||
                             line.starts_with("END RequestId:") ||
                             line.starts_with("REPORT RequestId:") ||
                             line.find(" Task timed out after ") != std::string_view::npos;
    if (!of_platform && !line.empty()) own += fmt::format("\n  {}", line);
  }
  return own;
}

base::Error ErrorOf(int64_t rank, int64_t workers, const faas::InvokeResult& result) {
  std::string type = "Unhandled";
  std::string message = result.payload;
  try {
    const base::Json payload = base::Json::Parse(result.payload, "function error");
    if (const base::Json* member = payload.Find("errorType")) type = member->AsString();
    if (const base::Json* member = payload.Find("errorMessage")) message = member->AsString();
  } catch (const base::Error&) {
    // Not the shape Lambda documents: show it as it is.
  }
  std::string text = fmt::format("worker {} of {} failed: {}{}", rank, workers,
                                 WithoutRequestId(message), AdviceFor(type));
  const bool died = type.starts_with("Runtime.") || type.starts_with("Sandbox.");
  const std::string last_words = died ? OwnLines(result.log_tail) : "";
  if (!last_words.empty()) text += fmt::format("\nits log ends:{}", last_words);
  return base::Error(CodeOfErrorType(type), std::move(text));
}

// Whether the same invocation might do better: not where the job itself is at fault.
bool MayPass(base::ErrorCode code) {
  return code == base::ErrorCode::kUnavailable || code == base::ErrorCode::kDeadlineExceeded ||
         code == base::ErrorCode::kInternal;
}

// Adds what a later invocation of the same rank did.
void Add(WorkerReport& total, WorkerReport more, bool is_first) {
  if (!is_first) {
    more.started_epoch_ms = total.started_epoch_ms;
    more.load_seconds += total.load_seconds;
    more.compute_seconds += total.compute_seconds;
    more.synchronise_seconds += total.synchronise_seconds;
    more.resident_bytes_max = std::max(more.resident_bytes_max, total.resident_bytes_max);
    for (const report::ServiceUse& use : total.uses) AddUse(more.uses, use);
  }
  total = std::move(more);
}

std::vector<RankProgress> BeginOf(const GangOptions& options) {
  if (!options.begin.empty()) return options.begin;
  return std::vector<RankProgress>(static_cast<size_t>(options.worker_count),
                                   {.generation = options.generation});
}

}  // namespace

Gang::Gang(faas::Invoker& invoker, GangOptions options)
    : invoker_(invoker),
      options_(std::move(options)),
      running_(options_.worker_count),
      progress_(BeginOf(options_)) {
  threads_.reserve(static_cast<size_t>(options_.worker_count));
  for (int64_t rank = 0; rank < options_.worker_count; ++rank) {
    try {
      threads_.emplace_back([this, rank] { RunWorker(rank); });
    } catch (const std::system_error& error) {
      // Without a thread the worker is one that failed to start; those before it run.
      End(rank, base::Error(base::ErrorCode::kResourceExhausted,
                            fmt::format("worker {} of {} cannot be invoked: {}", rank,
                                        options_.worker_count, error.what())));
    }
  }
}

Gang::~Gang() {
  for (std::thread& thread : threads_) thread.join();
}

void Gang::RunWorker(int64_t rank) {
  RankProgress progress;
  {
    const std::lock_guard lock(mutex_);
    progress = progress_[static_cast<size_t>(rank)];
  }
  std::optional<base::Error> failure;
  try {
    while (TakeTurn(rank, progress)) {
    }
  } catch (const base::Error& error) {
    failure = error;
  }
  {
    const std::lock_guard lock(mutex_);
    progress_[static_cast<size_t>(rank)] = std::move(progress);
  }
  End(rank, std::move(failure));
}

bool Gang::TakeTurn(int64_t rank, RankProgress& progress) {
  if (progress.is_finished || progress.generation > options_.last_generation) return false;
  try {
    WorkerReport report = Invoke(rank, progress.generation, progress.attempt);
    progress.is_finished = report.is_finished;
    Add(progress.report, std::move(report), progress.generations_ended == 0);
    ++progress.generations_ended;
    ++progress.generation;
    progress.attempt = 1;
    return true;
  } catch (const base::Error& error) {
    const bool is_last = progress.attempt > options_.max_restarts;
    if (!abandoned_ && (stopping_ || is_last || !MayPass(error.code()))) {
      const std::string where = progress.attempt == 1
                                    ? ""
                                    : fmt::format(" (attempt {} of generation {})",
                                                  progress.attempt, progress.generation);
      throw base::Error(error.code(), error.message() + where);
    }
    ++progress.attempt;
    if (abandoned_) return false;
    NoteRestart(rank, progress.generation, error);
    return !options_.last_start || !options_.last_start->Expired();
  }
}

WorkerReport Gang::Invoke(int64_t rank, int64_t generation, int64_t attempt) {
  const int64_t workers = options_.worker_count;
  try {
    if (stopping_) throw base::Error(base::ErrorCode::kCancelled, "the job is being stopped");
    const faas::InvokeResult result =
        invoker_.Invoke(options_.function_name, options_.payload_of(rank, generation, attempt),
                        base::Deadline::After(options_.patience));
    if (result.failed()) throw ErrorOf(rank, workers, result);
    return WorkerReportFromJson(
        base::Json::Parse(result.payload, fmt::format("the response of worker {}", rank)));
  } catch (const base::Error& error) {
    if (error.message().starts_with("worker ")) throw;
    throw base::Error(error.code(),
                      fmt::format("worker {} of {}: {}", rank, workers, error.message()));
  } catch (const std::exception& error) {
    throw base::Error(base::ErrorCode::kInternal,
                      fmt::format("worker {} of {}: {}", rank, workers, error.what()));
  }
}

void Gang::NoteRestart(int64_t rank, int64_t generation, const base::Error& error) {
  const std::lock_guard lock(mutex_);
  ++restarts_;
  options_.on_restart(fmt::format("starting worker {} again, in generation {}: {}", rank,
                                  generation, error.message()));
}

void Gang::End(int64_t rank, std::optional<base::Error> error) {
  const std::lock_guard lock(mutex_);
  if (error && !failure_) failure_ = WorkerFailure{rank, *std::move(error)};
  --running_;
  ended_.notify_all();
}

bool Gang::WaitFor(base::Duration patience) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, patience, [&] { return running_ == 0 || failure_.has_value(); });
}

void Gang::WaitUntilIdle(base::Duration patience) {
  std::unique_lock lock(mutex_);
  ended_.wait_for(lock, patience, [&] { return running_ == 0; });
}

std::optional<WorkerFailure> Gang::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::vector<WorkerReport> Gang::TakeReports() {
  const std::lock_guard lock(mutex_);
  std::vector<WorkerReport> reports;
  for (RankProgress& progress : progress_) reports.push_back(std::move(progress.report));
  return reports;
}

std::vector<RankProgress> Gang::TakeProgress() {
  const std::lock_guard lock(mutex_);
  return std::move(progress_);
}

int64_t Gang::generations() const {
  const std::lock_guard lock(mutex_);
  return std::ranges::max(progress_, {}, &RankProgress::generations_ended).generations_ended;
}

int64_t Gang::restarts() const {
  const std::lock_guard lock(mutex_);
  return restarts_;
}

}  // namespace lambdaml::train
