#include "lambdaml/train/resume.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/train/checkpoints.h"

namespace lambdaml::train {
namespace {

constexpr base::Duration kTimeout = std::chrono::minutes(2);

constexpr std::array<std::string_view, 24> kChangeable = {
    "resume",       "output",     "channel",       "platform",      "memory_mb",
    "timeout",      "log",        "round_timeout", "start_timeout", "checkpoint_every",
    "max_restarts", "run_epochs", "region",        "endpoint_url",  "cache_node",
    "prices",       "test",       "trigger",       "metrics",       "max_cost",
    "deadline",     "run_folder", "function_url",  "function_name"};

}  // namespace

wire::Job ResumedJob(const std::string& place, std::string* warning) {
  const base::Deadline deadline = base::Deadline::After(kTimeout);
  const std::string job_id = Checkpoints::JobIn(place, deadline);
  if (job_id.empty()) {
    throw base::Error(base::ErrorCode::kNotFound,
                      fmt::format("--resume {}: there is no checkpoint there", place));
  }
  Checkpoints checkpoints(place, job_id);
  const std::string text = checkpoints.Job(deadline);
  wire::Job job = wire::JobFromJson(base::Json::Parse(text, "the checkpoint's job"),
                                    fmt::format("--resume {}: the checkpoint's job", place));
  job.checkpoint = place;
  job.job_id = job_id;
  // A number that no generation of the job has had yet.
  job.generation = 1;
  if (job.sync_mode != wire::SyncMode::kAsync) {
    const CheckpointManifest manifest = checkpoints.Settle(deadline, warning);
    job.generation = static_cast<int64_t>(manifest.generation) + 1;
  }
  return job;
}

std::string HintOfResume(Checkpoints& checkpoints, const std::string& place,
                         const base::Deadline& deadline) {
  if (!checkpoints.HasState(deadline)) return "";
  const auto manifest = checkpoints.Latest(deadline);
  return fmt::format("; the state {}is saved: `lambdaml train --resume {}` goes on from there",
                     manifest ? fmt::format("after epoch {} ", manifest->epochs) : "", place);
}

bool MayChange(std::string_view option) {
  return std::ranges::find(kChangeable, option) != kChangeable.end();
}

}  // namespace lambdaml::train
