#include "lambdaml/train/cnn_data.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/place/image_place.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/shards.h"

namespace lambdaml::train {
namespace {

constexpr uint64_t kOrderStream = uint64_t{1} << 62;  // apart from others of the same seed

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

void CheckRows(const wire::Job& job, int64_t rows) {
  if (rows >= job.n_workers) return;
  Refuse(fmt::format("{} has {} images, too few for {} workers: give --workers {} or fewer",
                     job.data, rows, job.n_workers, rows));
}

// Of a folder its test images are meant, if it has any.
data::ImageSet LoadTest(const std::string& place, int64_t n_classes) {
  const place::ImagePlace images = place::OpenImages(place);
  if (images.folder && images.folder->test) {
    return data::LoadTestImages(*images.folder, n_classes).value();
  }
  return place::LoadImages(images, n_classes);
}

bool ServesAsIs(const wire::Job& job, const place::ImagePlace& place) {
  return place.folder && place.folder->manifest && job.test.empty() &&
         place.folder->shard_count() >= job.n_workers;
}

void CheckLabels(const std::string& origin, const data::Manifest& manifest, int64_t n_classes) {
  if (manifest.labels && manifest.labels->back().label < static_cast<double>(n_classes)) return;
  throw base::Error(
      base::ErrorCode::kInvalidData,
      fmt::format("{}: its labels are not all below --n_classes {}", origin, n_classes));
}

data::ImageSet LoadShardsOf(store::Store& store, const data::Manifest& manifest,
                            const wire::Job& job, std::vector<int64_t>& numbers,
                            const base::Deadline& deadline) {
  const auto shard_count = std::ssize(manifest.shards);
  std::vector<data::ImageSet> parts;
  for (int64_t i = job.worker_index; i < shard_count; i += job.n_workers) {
    const data::ShardEntry& entry = manifest.shards[static_cast<size_t>(i)];
    parts.push_back(data::DecodeShard(MustGet(store, entry.name, deadline), entry,
                                      fmt::format("{}/{}", store.url(), entry.name),
                                      ClassCountOf(job)));
    // Row r of shard i is row r · shard_count + i of the order in which rows were dealt.
    for (int64_t r = 0; r < entry.rows; ++r) numbers.push_back(r * shard_count + i);
  }
  if (parts.empty()) {
    Refuse(fmt::format("worker {}: {} has only {} shards", job.worker_index, store.url(),
                       shard_count));
  }
  return data::ConcatenateImages(parts);
}

// This worker's share of the test images.
data::ImageSet LoadTestShare(store::Store& store, const wire::Job& job,
                             const base::Deadline& deadline) {
  const data::ImageSet all =
      data::DecodeImages(MustGet(store, job.test_file, deadline),
                         fmt::format("{}/{}", store.url(), job.test_file), ClassCountOf(job));
  std::vector<int64_t> rows;
  for (int64_t r = job.worker_index; r < all.rows(); r += job.n_workers) rows.push_back(r);
  return data::TakeImages(all, rows);
}

void CheckHeldOut(const wire::Job& job, const CnnShards& shards) {
  if (job.valid_ratio == 0 || shards.has_valid) return;
  Refuse(
      fmt::format("--valid_ratio {} holds out no image of shards of {}: give a larger one, or "
                  "fewer --workers",
                  job.valid_ratio, shards.rows_max()));
}

}  // namespace

int64_t ClassCountOf(const wire::Job& job) { return job.n_classes.value_or(data::kCifarClasses); }

CnnJobData OpenCnnData(const wire::Job& job) {
  const int64_t n_classes = ClassCountOf(job);
  const place::ImagePlace place = place::OpenImages(job.data);
  CnnJobData result;
  if (ServesAsIs(job, place)) {
    result.manifest = *place.folder->manifest;
    result.test_name = place.folder->test;
    result.rows = result.manifest.rows;
    CheckLabels(job.data, result.manifest, n_classes);
    CheckRows(job, result.rows);
    return result;
  }
  result.images = place::LoadImages(place, n_classes);
  if (!job.test.empty()) {
    result.test = LoadTest(job.test, n_classes);
  } else if (place.folder) {
    result.test = data::LoadTestImages(*place.folder, n_classes);
  }
  result.rows = result.images->rows();
  CheckRows(job, result.rows);
  result.bytes_needed = result.images->records().size();
  if (result.test) {
    result.test_name = data::kTestImagesName;
    result.bytes_needed += result.test->records().size();
  }
  return result;
}

data::Manifest PlaceCnnData(CnnJobData data, const std::string& folder, wire::Job& job) {
  if (data.images) {
    const data::SplitOptions options = {.parts = job.n_workers,
                                        .shuffle_seed = static_cast<uint64_t>(job.seed)};
    data.manifest = data::SplitImages(
        *data.images, data.test, options, [&](std::string_view name, base::ByteSpan bytes) {
          base::WriteFileAtomic(fmt::format("{}/{}", folder, name), bytes);
        });
    job.data = folder;
  } else if (place::IsLocal(job.data)) {
    job.data = std::filesystem::absolute(place::PathOf(job.data));
  }
  job.test_file = data.test_name.value_or("");
  return std::move(data.manifest);
}

int64_t CnnShards::rows_total() const {
  return std::accumulate(train_rows.begin(), train_rows.end(), int64_t{0});
}

int64_t CnnShards::rows_max() const { return *std::ranges::max_element(train_rows); }

CnnShards LoadCnnShards(store::Store& store, const wire::Job& job, const base::Deadline& deadline) {
  const data::Manifest manifest = LoadManifest(store, deadline);
  CnnShards shards;
  for (const int64_t rows : RowsOfWorkers(manifest, job.n_workers)) {
    const int64_t valid_rows = ValidRows(rows, job.valid_ratio);
    shards.has_valid = shards.has_valid || valid_rows > 0;
    shards.train_rows.push_back(rows - valid_rows);
  }
  CheckHeldOut(job, shards);
  std::vector<int64_t> numbers;
  const data::ImageSet rows = LoadShardsOf(store, manifest, job, numbers, deadline);
  const auto valid_rows = static_cast<size_t>(ValidRows(rows.rows(), job.valid_ratio));
  if (valid_rows == 0) {
    shards.train = rows;
    shards.numbers = std::move(numbers);
  } else {
    const std::vector<int64_t> order = HoldOutOrder(job, rows.rows());
    const std::span<const int64_t> kept = std::span(order).subspan(valid_rows);
    shards.valid = data::TakeImages(rows, std::span(order).first(valid_rows));
    shards.train = data::TakeImages(rows, kept);
    for (const int64_t row : kept) shards.numbers.push_back(numbers[static_cast<size_t>(row)]);
  }
  shards.has_test = !job.test_file.empty();
  if (shards.has_test) shards.test = LoadTestShare(store, job, deadline);
  return shards;
}

void FillBatch(const data::ImageSet& images, const data::ImageWriter& writer, int64_t begin,
               int64_t end, ImageBatch& batch) {
  batch.images.resize(static_cast<size_t>((end - begin) * data::kImagePixels));
  batch.labels.clear();
  float* target = batch.images.data();
  for (int64_t row = begin; row < end; ++row, target += data::kImagePixels) {
    writer.Write(images.pixels(row), target);
    batch.labels.push_back(images.label(row));
  }
}

TrainingBatches::TrainingBatches(const CnnShards& shards, const data::ImageWriter& writer,
                                 const Options& options)
    : shards_(shards),
      writer_(writer),
      options_(options),
      steps_((shards.rows_max() + options.batch_size - 1) / options.batch_size) {}

int64_t TrainingBatches::RowsOf(int64_t rank, int64_t step) const {
  const int64_t left = shards_.train_rows[static_cast<size_t>(rank)] - step * options_.batch_size;
  return std::clamp<int64_t>(left, 0, options_.batch_size);
}

int64_t TrainingBatches::RowsOfAll(int64_t step) const {
  int64_t rows = 0;
  for (int64_t rank = 0; rank < std::ssize(shards_.train_rows); ++rank) rows += RowsOf(rank, step);
  return rows;
}

void TrainingBatches::Fill(int64_t epoch, int64_t step, ImageBatch& batch) {
  if (order_epoch_ != epoch) {
    const uint64_t stream =
        base::MixSeed(options_.seed ^ kOrderStream, static_cast<uint64_t>(epoch));
    order_ = base::Permutation(shards_.train.rows(),
                               base::MixSeed(stream, static_cast<uint64_t>(options_.rank)));
    order_epoch_ = epoch;
  }
  const int64_t rows = RowsOfOwn(step);
  batch.images.resize(static_cast<size_t>(rows * data::kImagePixels));
  batch.labels.clear();
  float* target = batch.images.data();
  for (int64_t i = 0; i < rows; ++i, target += data::kImagePixels) {
    const int64_t row = order_[static_cast<size_t>(step * options_.batch_size + i)];
    const auto pixels = shards_.train.pixels(row);
    if (options_.augment) {
      const int64_t number = shards_.numbers[static_cast<size_t>(row)];
      writer_.Write(pixels, data::DrawVariation(options_.seed, epoch, number), target);
    } else {
      writer_.Write(pixels, target);
    }
    batch.labels.push_back(shards_.train.label(row));
  }
}

}  // namespace lambdaml::train
