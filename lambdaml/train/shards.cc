#include "lambdaml/train/shards.h"

#include <algorithm>
#include <fmt/format.h>
#include <span>
#include <string>
#include <utility>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/data/labels.h"
#include "lambdaml/data/load.h"
#include "lambdaml/data/select.h"

namespace lambdaml::train {
namespace {

data::Dataset LoadShardOf(store::Store& store, const data::Manifest& manifest,
                          const data::ShardEntry& entry, const base::Deadline& deadline) {
  const std::string origin = fmt::format("{}/{}", store.url(), entry.name);
  base::Blob bytes = MustGet(store, entry.name, deadline);
  data::VerifyShardBytes(entry, bytes.span(), origin);
  data::Dataset shard = data::LoadBytes(
      std::move(bytes), origin, {.n_features = manifest.n_features, .layout = manifest.layout});
  data::VerifyShardContents(entry, shard, origin);
  return shard;
}

// Splits the worker's rows into training and validation rows, by (seed, rank).
void HoldOut(const wire::Job& job, data::Dataset rows, WorkerShards& shards) {
  const int64_t valid_rows = ValidRows(rows.rows(), job.valid_ratio);
  if (valid_rows == 0) {
    shards.valid = data::TakeRows(rows, {});
    shards.train = std::move(rows);
    return;
  }
  const std::vector<int64_t> order = HoldOutOrder(job, rows.rows());
  const std::span<const int64_t> all(order);
  shards.valid = data::TakeRows(rows, all.first(static_cast<size_t>(valid_rows)));
  shards.train = data::TakeRows(rows, all.subspan(static_cast<size_t>(valid_rows)));
}

}  // namespace

base::Blob MustGet(store::Store& store, const std::string& key, const base::Deadline& deadline) {
  std::optional<base::Blob> value = store.Get(key, deadline);
  if (value) return *std::move(value);
  throw base::Error(base::ErrorCode::kNotFound, fmt::format("{}/{} is missing", store.url(), key));
}

int64_t ValidRows(int64_t rows, double valid_ratio) {
  const auto wanted = static_cast<int64_t>(valid_ratio * static_cast<double>(rows));
  return std::clamp<int64_t>(wanted, 0, std::max<int64_t>(0, rows - 1));
}

std::vector<int64_t> RowsOfWorkers(const data::Manifest& manifest, int64_t workers) {
  std::vector<int64_t> rows(static_cast<size_t>(workers), 0);
  for (size_t i = 0; i < manifest.shards.size(); ++i) {
    rows[i % rows.size()] += manifest.shards[i].rows;
  }
  return rows;
}

std::vector<int64_t> HoldOutOrder(const wire::Job& job, int64_t rows) {
  return base::Permutation(rows, base::MixSeed(static_cast<uint64_t>(job.seed),
                                               static_cast<uint64_t>(job.worker_index)));
}

data::Manifest LoadManifest(store::Store& store, const base::Deadline& deadline) {
  const std::string key(data::kManifestName);
  return data::Manifest::Parse(MustGet(store, key, deadline).text(),
                               fmt::format("{}/{}", store.url(), key));
}

data::Dataset LoadRows(store::Store& store, const data::Manifest& manifest, const wire::Job& job,
                       const base::Deadline& deadline) {
  std::vector<data::Dataset> parts;
  for (auto i = static_cast<size_t>(job.worker_index); i < manifest.shards.size();
       i += static_cast<size_t>(job.n_workers)) {
    parts.push_back(LoadShardOf(store, manifest, manifest.shards[i], deadline));
  }
  if (parts.empty()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("worker {}: {} has only {} shards", job.worker_index, store.url(),
                                  manifest.shards.size()));
  }
  data::Dataset rows = data::Concatenate(parts);
  parts.clear();
  base::DropSpareBuffers();  // the model is to have the memory that loading took
  return rows;
}

WorkerShards LoadWorkerShards(store::Store& store, const wire::Job& job,
                              const base::Deadline& deadline) {
  const data::Manifest manifest = LoadManifest(store, deadline);
  WorkerShards shards;
  int64_t valid_rows_total = 0;
  for (const int64_t rows : RowsOfWorkers(manifest, job.n_workers)) {
    const int64_t valid_rows = ValidRows(rows, job.valid_ratio);
    const int64_t train_rows = rows - valid_rows;
    valid_rows_total += valid_rows;
    shards.train_rows_total += train_rows;
    shards.train_rows_max = std::max(shards.train_rows_max, train_rows);
  }
  if (job.valid_ratio > 0 && valid_rows_total == 0) {
    throw base::Error(
        base::ErrorCode::kInvalidArgument,
        fmt::format("--valid_ratio {} holds out no row of shards of {} rows: give a larger one, or "
                    "fewer --workers",
                    job.valid_ratio, shards.train_rows_max));
  }
  HoldOut(job, LoadRows(store, manifest, job, deadline), shards);
  const data::LabelMap labels = data::LabelMap::FromCounts(manifest.labels);
  shards.labels.assign(labels.labels().begin(), labels.labels().end());
  shards.train_classes = labels.ClassesOf(shards.train.labels);
  shards.valid_classes = labels.ClassesOf(shards.valid.labels);
  shards.shape = {
      .n_features = manifest.n_features, .n_classes = labels.class_count(), .bias = job.bias};
  return shards;
}

model::LinearLoss LossOf(wire::ModelKind kind) {
  const bool svm = kind == wire::ModelKind::kSvm || kind == wire::ModelKind::kSparseSvm;
  return svm ? model::LinearLoss::kHinge : model::LinearLoss::kLogistic;
}

optim::Regularizer RegularizerOf(const wire::Job& job) {
  const auto kind = [&] {
    switch (job.regularizer.value_or(wire::Regularizer::kNone)) {
      case wire::Regularizer::kL1:
        return optim::RegularizerKind::kL1;
      case wire::Regularizer::kL2:
        return optim::RegularizerKind::kL2;
      case wire::Regularizer::kNone:
        break;
    }
    return optim::RegularizerKind::kNone;
  }();
  return {.kind = kind, .lambda = job.lambda.value_or(0)};
}

}  // namespace lambdaml::train
