#include "lambdaml/train/job_defaults.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/workload.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

// Only Memcached, Redis and parameter servers stand on nodes that are paid by the hour.
void CheckCacheNode(const wire::Job& job) {
  if (job.cache_node.empty()) return;
  for (const std::string_view scheme :
       {"memcached://", "redis://", "rediss://", "ps://", "pss://"}) {
    if (job.channel.starts_with(scheme)) return;
  }
  Refuse(fmt::format("--cache_node {}: only a memcached://, redis:// or ps:// channel has nodes",
                     job.cache_node));
}

// An option that has no effect is a mistake somewhere: better said than trained.
void CheckOptions(const wire::Job& job, const Workload& workload) {
  const base::Json given = wire::JobToJson(job);
  for (const std::string_view option : workload.foreign_options) {
    if (given.Find(option) == nullptr) continue;
    Refuse(fmt::format("--{} means nothing to --model {}", option, wire::NameOf(job.model)));
  }
}

// "dir/heart_scale.libsvm.zst" and ".model" give "heart_scale.model" in the current folder.
std::string DefaultOutput(const std::string& data, std::string_view suffix) {
  std::string name = place::NameOf(data);
  if (place::IsLocal(data)) {
    const std::filesystem::path path =
        std::filesystem::absolute(place::PathOf(data)).lexically_normal();
    name = path.has_filename() ? path.filename() : path.parent_path().filename();
  }
  for (const std::string_view ending : {".zst", ".gz", ".libsvm", ".svm", ".txt", ".npz", ".bin"}) {
    if (name.size() > ending.size() && name.ends_with(ending))
      name.resize(name.size() - ending.size());
  }
  return (name.empty() ? "lambdaml" : name).append(suffix);
}

}  // namespace

void ResolveJob(wire::Job& job) {
  wire::ApplyLambdamlKeys(job);
  wire::ApplyServiceOptions(job);
  if (job.data.empty()) {
    Refuse("no data: give --data FILE (or `data = \"FILE\"` in the job file)");
  }
  const Workload& workload = WorkloadOf(job.model);
  CheckOptions(job, workload);
  CheckCacheNode(job);
  workload.resolve(job);
  if (job.output.empty()) job.output = DefaultOutput(job.data, workload.output_suffix);
}

int64_t EpochsMax(const wire::Job& job) { return WorkloadOf(job.model).epochs_max(job); }

}  // namespace lambdaml::train
