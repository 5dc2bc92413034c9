#include "lambdaml/wire/job.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

// A bucket as a URL or path: itself, or an S3 bucket of that name (such names hold no slash).
std::string PlaceOfBucket(const std::string& bucket) {
  const bool is_place = bucket.find('/') != std::string::npos || bucket.starts_with('.');
  return is_place ? bucket : fmt::format("s3://{}", bucket);
}

std::string Join(const std::string& folder, const std::string& name) {
  if (name.empty()) return folder;
  return folder.ends_with('/') ? folder + name : fmt::format("{}/{}", folder, name);
}

void ApplyDataKeys(Job& job) {
  const std::string& name = job.train_file.empty() ? job.dataset : job.train_file;
  if (job.data.empty()) {
    job.data = job.data_bucket.empty() ? name : Join(PlaceOfBucket(job.data_bucket), name);
  }
  if (job.test.empty() && !job.test_file.empty()) {
    job.test = job.data_bucket.empty() ? job.test_file
                                       : Join(PlaceOfBucket(job.data_bucket), job.test_file);
  }
}

void ApplyChannelKeys(Job& job) {
  if (!job.channel.empty()) return;
  if (!job.tmp_bucket.empty()) {
    job.channel = PlaceOfBucket(job.tmp_bucket);
  } else if (!job.tmp_table_name.empty()) {
    job.channel = fmt::format("dynamodb://{},{}", job.tmp_table_name, job.merged_table_name);
  } else if (!job.host.empty()) {
    if (!job.port) Refuse("host: port is missing too; or give --channel URL");
    job.channel = fmt::format("memcached://{}:{}", job.host, *job.port);
  }
}

}  // namespace

void ApplyLambdamlKeys(Job& job) {
  ApplyDataKeys(job);
  ApplyChannelKeys(job);
  if (job.optim == Optim::kAdmm && !job.regularizer && job.lambda && !job.data_bucket.empty()) {
    job.regularizer = Regularizer::kL1;
  }
  if (job.start_epoch != 0) Refuse("start_epoch: a job starts at epoch 0 here");
  if (job.run_epochs && job.n_epochs && *job.run_epochs < *job.n_epochs) {
    Refuse(fmt::format("run_epochs: {} is below n_epochs {}: one invocation runs all epochs here",
                       *job.run_epochs, *job.n_epochs));
  }
}

}  // namespace lambdaml::wire
