// All jobs of a server, by name; with a folder, their journals.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "lambdaml/ps/job.h"
#include "lambdaml/ps/memory_budget.h"
#include "lambdaml/ps/slice_call.h"

namespace lambdaml::ps {

struct JobTableOptions {
  std::string folder;  // of the journals; "": none
  size_t jobs_max = 1000;
};

// Threads: any.
class JobTable {
 public:
  // Recovers the jobs of the folder, which is made if need be.
  JobTable(JobTableOptions options, MemoryBudget& budget);

  // Makes the job, or finds it. Errors: kAlreadyExists if the name belongs to a job of another
  // shape, or to any if the spec says must_be_new; kResourceExhausted with too many jobs;
  // kInvalidArgument for a name or a worker count that is none; kUnavailable while draining.
  JobState Open(const JobSpec& spec);

  // Errors: kNotFound.
  std::shared_ptr<Job> Find(const std::string& name) const;

  // Forgets a job and its journal; one that is not there is no error.
  void Close(const std::string& name);

  // Forgets the jobs that nobody has used since `moment` and nobody is using. Returns their names.
  std::vector<std::string> Expire(base::TimePoint moment);

  // From now on no job and no round begins.
  void Drain();
  bool is_draining() const;
  bool has_unfinished_round() const;
  // Ends all waiting, and puts the journals on the disk.
  void Stop();

  std::vector<JobStatus> statuses() const;
  size_t size() const;

 private:
  std::string PathOf(const std::string& name) const;
  void Recover();
  std::vector<std::shared_ptr<Job>> All() const;

  const JobTableOptions options_;
  MemoryBudget& budget_;
  mutable std::mutex mutex_;  // guards the members below
  std::map<std::string, std::shared_ptr<Job>> jobs_;
  bool is_draining_ = false;
};

}  // namespace lambdaml::ps
