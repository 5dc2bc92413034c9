// Where a job's functions run, as the trigger sees it: on this machine, on AWS Lambda, or behind a
// URL. What differs is how they are made ready, invoked, ended and billed; everything else is the
// same job.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/train/run_directory.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Threads: one, except for the invoker.
class Platform {
 public:
  virtual ~Platform() = default;

  // A folder that trigger and functions both reach, as the URL of a store: each run has one of its
  // own in it. "" for functions of this machine, which share its files.
  virtual std::string shared_folder() const = 0;

  // Makes the functions ready for a job that is settled. Errors: as faas::LocalPlatform.
  virtual void Start(const wire::Job& job, const RunDirectory& run) = 0;

  // After Start. Must not be used any more when the platform goes.
  virtual faas::Invoker& invoker() = 0;

  // Ends all calls of the invoker. A second call does nothing.
  virtual void Shutdown() = 0;

  // What is billed for the functions, after Shutdown; empty where nobody says.
  virtual std::vector<report::Invocation> TakeInvocations() = 0;
};

// The platform of job.platform. Checks what can be known before any data are read and any money is
// spent, and takes into the job what the platform decides (a deployed function's memory,
// time-out and architecture). worker_program: of local functions, and to tell a deployed one's
// version by. Errors: kInvalidArgument, kNotFound (no function), kPermissionDenied (credentials),
// kResourceExhausted (the quota of executions is below the workers), those of the services.
std::unique_ptr<Platform> MakePlatform(wire::Job& job, const std::string& worker_program);

// A folder or key below the URL of a store, or a path: what stands before its parameters.
std::string UrlIn(std::string_view folder_url, std::string_view name);

// The URL with a region in its parameters, unless it has one, or `region` is empty.
std::string WithRegion(std::string url, const std::string& region);

}  // namespace lambdaml::train
