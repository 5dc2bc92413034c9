// A job's data on the trigger's side: read, checked against the job, and placed as binary shards
// where workers can load them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lambdaml/data/dataset.h"
#include "lambdaml/data/manifest.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

struct JobData {
  // The rows, if they must be split; nothing if job.data is a folder of shards that serves as it is
  // (it has a manifest, and at least one shard per worker).
  std::optional<data::Dataset> dataset;
  data::Manifest manifest;    // of that folder; without shards if there are none yet
  uint64_t bytes_needed = 0;  // of temporary space for the run
};

// Reads job.data. Errors: those of reading; kInvalidArgument if there are fewer rows than workers.
JobData OpenJobData(const wire::Job& job);

enum class RowOrder {
  kShuffled,  // dealt to the shards in an order drawn from the job's seed
  kKept,      // the shards one after the other are the data set
};

// Writes the shards and their manifest into `folder` if need be, and points job.data at them.
// Errors: kResourceExhausted when the folder is full.
data::Manifest PlaceShards(JobData data, RowOrder order, const std::string& folder, wire::Job& job);

// Checks the labels of a classifier's data, which errors call `origin`, against the job's
// n_classes. Errors: kInvalidArgument; kInvalidData if they are no classes at all.
void CheckLabels(const wire::Job& job, const data::Manifest& manifest, const std::string& origin);

}  // namespace lambdaml::train
