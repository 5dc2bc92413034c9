// A job's data: how the trigger gets it into shards, and how a worker gets its own.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/manifest.h"
#include "lambdaml/model/linear_shape.h"
#include "lambdaml/optim/regularizer.h"
#include "lambdaml/store/store.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// Errors: those of the store; kNotFound if there is none; kInvalidData.
data::Manifest LoadManifest(store::Store& store, const base::Deadline& deadline);

// Errors: those of the store; kNotFound.
base::Blob MustGet(store::Store& store, const std::string& key, const base::Deadline& deadline);

// Rows of each worker, from the manifest alone.
std::vector<int64_t> RowsOfWorkers(const data::Manifest& manifest, int64_t workers);

// How many of a worker's rows are held out: at least one is left to train on.
int64_t ValidRows(int64_t rows, double valid_ratio);

// A worker's rows in the order in which they are held out: the first ValidRows of them are.
std::vector<int64_t> HoldOutOrder(const wire::Job& job, int64_t rows);

// The rows of this worker's shards, those whose number is its rank modulo n_workers, one after the
// other. Errors: those of the store; kInvalidData, kCorrupt for shards that do not match their
// manifest; kInvalidArgument if there are fewer shards than workers.
data::Dataset LoadRows(store::Store& store, const data::Manifest& manifest, const wire::Job& job,
                       const base::Deadline& deadline);

// What one worker trains a linear model on, and what it must know of the others'.
struct WorkerShards {
  data::Dataset train;
  data::Dataset valid;  // may have no rows
  std::vector<int32_t> train_classes;
  std::vector<int32_t> valid_classes;
  std::vector<double> labels;  // of the classes, ascending
  model::LinearShape shape;
  int64_t train_rows_total = 0;  // over all workers
  int64_t train_rows_max = 0;    // of the worker with most
};

// Reads the manifest and this worker's rows, and holds out valid_ratio of them by (seed, rank).
// Errors: as LoadRows; kInvalidArgument if valid_ratio holds out no row at all.
WorkerShards LoadWorkerShards(store::Store& store, const wire::Job& job,
                              const base::Deadline& deadline);

model::LinearLoss LossOf(wire::ModelKind kind);
optim::Regularizer RegularizerOf(const wire::Job& job);

}  // namespace lambdaml::train
