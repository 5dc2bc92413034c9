#include "lambdaml/train/job_data.h"

#include <filesystem>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/labels.h"
#include "lambdaml/data/shards.h"
#include "lambdaml/data/split.h"
#include "lambdaml/place/data_place.h"
#include "lambdaml/place/place.h"

namespace lambdaml::train {
namespace {

// What a run writes beside its shards: logs, models, rounds of moderate models.
constexpr uint64_t kRunBytes = 64 << 20;

data::Layout LayoutOf(const wire::Job& job) {
  if (job.model == wire::ModelKind::kSparseLr || job.model == wire::ModelKind::kSparseSvm) {
    return data::Layout::kSparse;
  }
  switch (job.dataset_type) {
    case wire::DatasetType::kDenseLibsvm:
    case wire::DatasetType::kCifar10:
      return data::Layout::kDense;
    case wire::DatasetType::kSparseLibsvm:
      return data::Layout::kSparse;
    case wire::DatasetType::kAuto:
      break;
  }
  return data::Layout::kAuto;
}

void CheckRows(const wire::Job& job, int64_t rows) {
  if (rows >= job.n_workers) return;
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("{} has {} rows, too few for {} workers: give --workers {} or fewer", job.data,
                  rows, job.n_workers, rows));
}

data::LabelMap LabelMapOf(const data::Manifest& manifest, const std::string& origin) {
  try {
    return data::LabelMap::FromCounts(manifest.labels);
  } catch (const base::Error& error) {
    throw base::Error(error.code(), fmt::format("{}: {}", origin, error.message()));
  }
}

// Whether workers can read the shards of a folder where they are.
bool ServesAsIs(const wire::Job& job, const data::ShardFolder& folder) {
  if (!folder.manifest || folder.shard_count() < job.n_workers) return false;
  if (job.n_features && *job.n_features != folder.manifest->n_features) return false;
  const data::Layout layout = LayoutOf(job);
  return layout == data::Layout::kAuto || layout == folder.manifest->layout;
}

uint64_t SizeBytes(const data::Dataset& dataset) {
  const auto rows = static_cast<uint64_t>(dataset.rows());
  if (dataset.is_dense()) return dataset.dense().values.size_bytes() + rows * sizeof(double);
  const data::SparseRows& sparse = dataset.sparse();
  return sparse.values.size_bytes() + sparse.columns.size_bytes() +
         rows * (sizeof(double) + sizeof(int64_t));
}

}  // namespace

JobData OpenJobData(const wire::Job& job) {
  JobData result;
  result.bytes_needed = kRunBytes;
  place::DataPlace place = place::OpenData(job.data);
  if (place.shards && ServesAsIs(job, *place.shards)) {
    result.manifest = *place.shards->manifest;
    CheckRows(job, result.manifest.rows);
    return result;
  }
  result.dataset =
      place::LoadData(std::move(place), {.index_base = static_cast<int>(job.index_base),
                                         .n_features = job.n_features,
                                         .layout = LayoutOf(job)});
  CheckRows(job, result.dataset->rows());
  result.bytes_needed += SizeBytes(*result.dataset);
  return result;
}

data::Manifest PlaceShards(JobData data, RowOrder order, const std::string& folder,
                           wire::Job& job) {
  if (data.dataset) {
    const data::FileSink write = [&](std::string_view name, base::ByteSpan bytes) {
      base::WriteFileAtomic(fmt::format("{}/{}", folder, name), bytes);
    };
    data::SplitOptions options = {.parts = job.n_workers};
    if (order == RowOrder::kShuffled) {
      options.shuffle_seed = static_cast<uint64_t>(job.seed);
    } else {
      options.order = data::SplitOrder::kContiguous;
    }
    data.manifest = data::Split(*data.dataset, options, write);
  }
  if (data.dataset) {
    job.data = folder;
  } else if (place::IsLocal(job.data)) {
    job.data = std::filesystem::absolute(place::PathOf(job.data));
  }
  return std::move(data.manifest);
}

void CheckLabels(const wire::Job& job, const data::Manifest& manifest, const std::string& origin) {
  const data::LabelMap labels = LabelMapOf(manifest, origin);
  if (!job.n_classes || *job.n_classes == labels.class_count()) return;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("--n_classes {}: {} has {} different labels", *job.n_classes,
                                origin, labels.class_count()));
}

}  // namespace lambdaml::train
