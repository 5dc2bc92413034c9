// The images of a job on a network: how the trigger gets them into shards, what a worker loads, and
// the batches it makes of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/data/image_batch.h"
#include "lambdaml/data/image_folder.h"
#include "lambdaml/data/images.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Labels are below this.
int64_t ClassCountOf(const wire::Job& job);

// On the trigger's side.
struct CnnJobData {
  // What must be written as shards; nothing if job.data is a folder that serves as it is: with a
  // manifest, at least one shard per worker, and the test images that the job asks for.
  std::optional<data::ImageSet> images;
  std::optional<data::ImageSet> test;
  std::optional<std::string> test_name;  // of the test images beside the shards
  data::Manifest manifest;               // of that folder; without shards if there are none yet
  int64_t rows = 0;
  uint64_t bytes_needed = 0;  // of temporary space for the images
};

// Reads job.data, and job.test or else the test images in the folder. Errors: those of reading;
// kInvalidArgument if there are fewer rows than workers; kInvalidData for labels beyond n_classes.
CnnJobData OpenCnnData(const wire::Job& job);

// Writes shards, test images and manifest into `folder` if need be, dealt in an order drawn from
// the job's seed; points job.data at them and job.test_file at the test images. Errors:
// kResourceExhausted when the folder is full.
data::Manifest PlaceCnnData(CnnJobData data, const std::string& folder, wire::Job& job);

// What one worker has.
struct CnnShards {
  data::ImageSet train;
  // Of each training row: its number in the data set as it was dealt. It does not depend on the
  // number of workers, nor on which of them holds the row.
  std::vector<int64_t> numbers;
  data::ImageSet valid;             // may have no rows
  data::ImageSet test;              // every n_workers-th test row from the rank's on; may be empty
  std::vector<int64_t> train_rows;  // of each worker
  bool has_valid = false;           // some worker has validation rows
  bool has_test = false;

  int64_t rows_total() const;
  int64_t rows_max() const;  // of the worker with most
};

// Reads the manifest, this worker's shards (those whose number is its rank modulo n_workers), and
// job.test_file; holds out valid_ratio of the rows by (seed, rank). Errors: those of the store;
// kInvalidData, kCorrupt; kInvalidArgument if there are fewer shards than workers, or if
// valid_ratio holds out no row at all.
CnnShards LoadCnnShards(store::Store& store, const wire::Job& job, const base::Deadline& deadline);

// One batch as a network takes it.
struct ImageBatch {
  std::vector<float> images;  // rows x kImagePixels
  std::vector<int32_t> labels;

  int64_t rows() const { return static_cast<int64_t>(labels.size()); }
};

// The rows [begin, end) of a set, as they are.
void FillBatch(const data::ImageSet& images, const data::ImageWriter& writer, int64_t begin,
               int64_t end, ImageBatch& batch);

// The batches of a worker's training rows: each epoch in an order of its own, drawn from (seed,
// epoch, rank), and on request varied (data::DrawVariation). Threads: one.
class TrainingBatches {
 public:
  struct Options {
    int64_t batch_size = 0;
    uint64_t seed = 0;
    int64_t rank = 0;
    bool augment = false;
  };

  // All must live as long.
  TrainingBatches(const CnnShards& shards, const data::ImageWriter& writer, const Options& options);

  // Steps of an epoch: batches of the largest shard, so that every rank takes part in every round.
  int64_t steps() const { return steps_; }

  // The batch of a step, 0 <= step < steps(); without rows if this worker has none left.
  void Fill(int64_t epoch, int64_t step, ImageBatch& batch);

  // How many rows all workers have in a step, and this one.
  int64_t RowsOfAll(int64_t step) const;
  int64_t RowsOfOwn(int64_t step) const { return RowsOf(options_.rank, step); }

 private:
  int64_t RowsOf(int64_t rank, int64_t step) const;

  const CnnShards& shards_;
  const data::ImageWriter& writer_;
  const Options options_;
  const int64_t steps_;
  int64_t order_epoch_ = -1;  // whose order this is
  std::vector<int64_t> order_;
};

}  // namespace lambdaml::train
