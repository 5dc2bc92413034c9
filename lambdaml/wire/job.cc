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

bool HasParameter(std::string_view url, std::string_view name) {
  const size_t query = url.find('?');
  if (query == url.npos) return false;
  const std::string parameters = fmt::format("&{}", url.substr(query + 1));
  return parameters.find(fmt::format("&{}=", name)) != std::string::npos;
}

void AddParameter(std::string& url, std::string_view name, std::string_view value) {
  if (value.empty() || HasParameter(url, name)) return;
  url += fmt::format("{}{}=", url.find('?') == std::string::npos ? '?' : '&', name);
  for (const char c : value) {
    const bool means_itself = c != '%' && c != '&' && c != '?' && c > ' ';
    url += means_itself ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
}

// dynamodb://tmp_table,merged_table?key_col=…, or with one table if only one is named.
std::string DynamoDbChannel(const Job& job) {
  std::string url = fmt::format("dynamodb://{}", job.tmp_table_name);
  if (!job.merged_table_name.empty()) url += fmt::format(",{}", job.merged_table_name);
  AddParameter(url, "key_col", job.key_col);
  return url;
}

// LambdaML's payloads name a server by host and port, whatever it is; the port tells.
std::string_view SchemeOfPort(int64_t port) {
  constexpr int64_t kRedisPort = 6379;
  constexpr int64_t kParameterServerPort = 27000;
  if (port == kRedisPort) return "redis";
  return port == kParameterServerPort ? "ps" : "memcached";
}

void ApplyChannelKeys(Job& job) {
  if (!job.channel.empty()) return;
  if (!job.tmp_bucket.empty()) {
    job.channel = PlaceOfBucket(job.tmp_bucket);
  } else if (!job.tmp_table_name.empty()) {
    job.channel = DynamoDbChannel(job);
  } else if (!job.host.empty()) {
    if (!job.port) Refuse("host: port is missing too; or give --channel URL");
    job.channel = fmt::format("{}://{}:{}", SchemeOfPort(*job.port), job.host, *job.port);
  }
}

}  // namespace

void ApplyServiceOptions(Job& job) {
  for (std::string* url :
       {&job.data, &job.test, &job.init_model, &job.output, &job.channel, &job.checkpoint}) {
    if (!url->starts_with("s3://") && !url->starts_with("dynamodb://")) continue;
    AddParameter(*url, "region", job.region);
    AddParameter(*url, "endpoint", job.endpoint_url);
  }
}

void ApplyLambdamlKeys(Job& job) {
  ApplyDataKeys(job);
  ApplyChannelKeys(job);
  if (job.optim == Optim::kAdmm && !job.regularizer && job.lambda && !job.data_bucket.empty()) {
    job.regularizer = Regularizer::kL1;
  }
  if (job.checkpoint.empty() && !job.cp_bucket.empty())
    job.checkpoint = PlaceOfBucket(job.cp_bucket);
  if (job.start_epoch != 0) {
    Refuse(
        "start_epoch: a job goes on where its checkpoint is, not where it is told; give --resume "
        "CHECKPOINT, or leave it out");
  }
}

}  // namespace lambdaml::wire
