#include "lambdaml/ps/job_table.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/log.h"

namespace lambdaml::ps {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kExtension = ".job";

uint64_t RandomNumber() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32) | device();
}

}  // namespace

JobTable::JobTable(JobTableOptions options, MemoryBudget& budget)
    : options_(std::move(options)), budget_(budget) {
  if (!options_.folder.empty()) Recover();
}

std::string JobTable::PathOf(const std::string& name) const {
  return fmt::format("{}/{}{}", options_.folder, name, kExtension);
}

void JobTable::Recover() {
  base::MakeDirectories(options_.folder);
  for (const auto& entry : std::filesystem::directory_iterator(options_.folder)) {
    if (entry.path().extension() != kExtension) continue;
    const std::shared_ptr<Job> job = Job::Recover(entry.path().string(), budget_);
    if (!job || PathOf(job->spec().job) != entry.path().string()) {
      base::Log(base::LogLevel::kWarning,
                fmt::format("ps event=ignored file={} reason=\"no journal of a job of that name\"",
                            entry.path().string()));
      continue;
    }
    const JobStatus status = job->status();
    base::Log(base::LogLevel::kInfo,
              fmt::format("ps event=recovered job={} workers={} round={} rounds_kept={} merges={}",
                          status.name, status.worker_count, status.round.round, status.rounds_kept,
                          status.merges));
    jobs_.emplace(job->spec().job, job);
  }
}

JobState JobTable::Open(const JobSpec& spec) {
  CheckJobName(spec.job);
  if (spec.worker_count < 1 || spec.worker_count > kWorkerCountMax) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("job {}: a job has 1 to {} workers, not {}", spec.job, kWorkerCountMax,
                            spec.worker_count));
  }
  const std::lock_guard lock(mutex_);
  if (const auto found = jobs_.find(spec.job); found != jobs_.end()) {
    Job& job = *found->second;
    if (spec.must_be_new || job.spec().worker_count != spec.worker_count) {
      throw Error(ErrorCode::kAlreadyExists,
                  fmt::format("the parameter server has a job {} of {} workers already: the name "
                              "is in use",
                              spec.job, job.spec().worker_count));
    }
    if (spec.keeps_rounds) job.KeepRounds();
    return {.incarnation = job.incarnation(), .is_new = false};
  }
  if (is_draining_) {
    throw Error(ErrorCode::kUnavailable, "the parameter server is stopping: no job may begin");
  }
  if (jobs_.size() >= options_.jobs_max) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("the parameter server has {} jobs, the most it takes (--jobs_max)",
                            jobs_.size()));
  }
  std::unique_ptr<Journal> journal;
  if (!options_.folder.empty()) {
    journal = std::make_unique<Journal>(PathOf(spec.job), [](const Record&, const BodyPlace&) {});
    journal->Clear();  // of a file that could not be recovered
  }
  const auto job = std::make_shared<Job>(spec, RandomNumber(), std::move(journal), budget_);
  jobs_.emplace(spec.job, job);
  base::Log(base::LogLevel::kInfo,
            fmt::format("ps event=opened job={} workers={}", spec.job, spec.worker_count));
  return {.incarnation = job->incarnation(), .is_new = true};
}

std::shared_ptr<Job> JobTable::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = jobs_.find(name);
  if (found != jobs_.end()) return found->second;
  CheckJobName(name);  // else the message would quote any bytes
  throw Error(ErrorCode::kNotFound,
              fmt::format("the parameter server has no job {}: it was never opened, was closed, or "
                          "was idle for longer than --expired",
                          name));
}

void JobTable::Close(const std::string& name) {
  std::shared_ptr<Job> job;
  {
    const std::lock_guard lock(mutex_);
    const auto found = jobs_.find(name);
    if (found == jobs_.end()) return;
    job = std::move(found->second);
    job->Close();  // while nobody can open a job of this name, hence a journal of this path
    jobs_.erase(found);
  }
  base::Log(base::LogLevel::kInfo, fmt::format("ps event=closed job={}", name));
}

std::vector<std::string> JobTable::Expire(base::TimePoint moment) {
  std::vector<std::string> expired;
  const std::lock_guard lock(mutex_);
  for (auto entry = jobs_.begin(); entry != jobs_.end();) {
    if (!entry->second->is_idle_since(moment)) {
      ++entry;
      continue;
    }
    expired.push_back(entry->first);
    entry->second->Close();
    entry = jobs_.erase(entry);
  }
  return expired;
}

std::vector<std::shared_ptr<Job>> JobTable::All() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Job>> all;
  for (const auto& [name, job] : jobs_) all.push_back(job);
  return all;
}

void JobTable::Drain() {
  {
    const std::lock_guard lock(mutex_);
    is_draining_ = true;
  }
  for (const auto& job : All()) job->Drain();
}

bool JobTable::is_draining() const {
  const std::lock_guard lock(mutex_);
  return is_draining_;
}

bool JobTable::has_unfinished_round() const {
  return std::ranges::any_of(All(), [](const auto& job) { return job->has_unfinished_round(); });
}

void JobTable::Stop() {
  for (const auto& job : All()) {
    job->Stop();
    job->Sync();
  }
}

std::vector<JobStatus> JobTable::statuses() const {
  std::vector<JobStatus> statuses;
  for (const auto& job : All()) statuses.push_back(job->status());
  return statuses;
}

size_t JobTable::size() const {
  const std::lock_guard lock(mutex_);
  return jobs_.size();
}

}  // namespace lambdaml::ps
