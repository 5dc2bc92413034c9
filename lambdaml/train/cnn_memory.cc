#include "lambdaml/train/cnn_memory.h"

#include <algorithm>
#include <fmt/format.h>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"
#include "lambdaml/data/images.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/train/cnn_trainer.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

constexpr int64_t kMemoryMbPerCpu = 1769;
constexpr int64_t kCpusMax = 6;
constexpr uint64_t kMegabyte = uint64_t{1} << 20;

// The program and its libraries, threads' stacks, what a store's client holds.
constexpr uint64_t kProgramBytes = 64 * kMegabyte;

// Vectors of the exchange that may be in memory at once: own messages, and those received.
uint64_t ExchangeBytes(const wire::Job& job, uint64_t state_bytes) {
  if (job.n_workers == 1) return 0;
  const bool async = job.sync_mode == wire::SyncMode::kAsync;
  if (async) return 4 * state_bytes;  // seen, change, and a message each way
  const bool by_buckets = *job.optim == wire::Optim::kGradAvg;
  const uint64_t unit =
      by_buckets ? std::min<uint64_t>(state_bytes, kLargestBucketBytes) : state_bytes;
  const bool scatters = job.sync_mode == wire::SyncMode::kReduceScatter;
  const auto received = scatters ? uint64_t{1} : static_cast<uint64_t>(job.n_workers - 1);
  if (job.exchange == wire::Precision::kFloat32) return (received + 3) * unit;
  // Messages are half as long; model_avg holds what the changes are counted from.
  return (received + 3) * unit / 2 + unit;
}

}  // namespace

int ThreadCountOf(int64_t memory_mb) {
  return static_cast<int>(std::clamp<int64_t>(memory_mb / kMemoryMbPerCpu, 1, kCpusMax));
}

uint64_t CnnMemoryBytes(const wire::Job& job, const CnnMemoryQuestion& question) {
  const nn::StateLayout layout = nn::DescribeState(question.architecture, question.n_classes);
  const uint64_t state_bytes =
      (layout.parameter_count + layout.statistic_count) * uint64_t{sizeof(float)};
  const bool keeps_epochs = job.keep == wire::KeptEpoch::kBest || job.patience > 0;
  const uint64_t network = nn::MemoryBytes({.architecture = question.architecture,
                                            .n_classes = question.n_classes,
                                            .batch_size_max = *job.batch_size,
                                            .thread_count = ThreadCountOf(job.memory_mb)});
  const auto batch =
      static_cast<uint64_t>(*job.batch_size * data::kImagePixels) * uint64_t{sizeof(float)};
  const uint64_t velocity = layout.parameter_count * uint64_t{sizeof(float)};
  return kProgramBytes + question.image_bytes + network + batch + velocity +
         ExchangeBytes(job, state_bytes) + (keeps_epochs ? 2 * state_bytes : 0) +
         2 * (state_bytes + velocity);  // a checkpoint, or rank 0's file of the finished model
}

void CheckCnnMemory(const wire::Job& job, const CnnMemoryQuestion& question) {
  const auto limit = static_cast<uint64_t>(job.memory_mb) * kMegabyte;
  const uint64_t needed = CnnMemoryBytes(job, question);
  if (needed <= limit) return;
  const auto fits = [&](int64_t batch_size) {
    wire::Job smaller = job;
    smaller.batch_size = batch_size;
    return CnnMemoryBytes(smaller, question) <= limit;
  };
  int64_t best = 0;  // fits, if it is not 0
  int64_t above = *job.batch_size;
  while (above - best > 1) {
    const int64_t middle = best + (above - best) / 2;
    (fits(middle) ? best : above) = middle;
  }
  const std::string advice =
      best > 0 ? fmt::format("--batch_size {} or less, or ", best) : std::string();
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("--memory_mb {} is too little: {} with --batch_size {} needs about {} MB in each "
                  "worker; give {}--memory_mb {}",
                  job.memory_mb, wire::NameOf(job.model), *job.batch_size,
                  (needed + kMegabyte - 1) / kMegabyte, advice,
                  (needed + kMegabyte - 1) / kMegabyte));
}

}  // namespace lambdaml::train
