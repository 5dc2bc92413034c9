// What differs between the kinds of models, at the trigger and at a worker. The trigger (trigger.h)
// and the worker (worker.h) run every job in the same way; what its data are, how it learns and
// what it leaves is its workload's business. A new kind is one pair of files and one row in
// workload.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/parallel.h"
#include "lambdaml/report/run_record.h"
#include "lambdaml/store/store.h"
#include "lambdaml/train/generation.h"
#include "lambdaml/train/peers.h"
#include "lambdaml/train/worker_report.h"
#include "lambdaml/wire/job.h"

namespace lambdaml::train {

// One job at the trigger. The calls come in this order, and the job is the same in all of them.
class TriggerWorkload {
 public:
  virtual ~TriggerWorkload() = default;

  // Reads the job's data, --test and --init_model, and checks what can be checked. Returns the
  // temporary space in bytes that the run needs. Errors: those of reading; kInvalidArgument.
  virtual uint64_t Open(wire::Job& job) = 0;

  // Writes the data as shards into `folder`, unless they are in shards that serve as they are,
  // points job.data at them, and settles what depends on the data. Errors: kInvalidArgument,
  // kInvalidData; kResourceExhausted when the folder is full.
  virtual void Place(const std::string& folder, wire::Job& job) = 0;

  // What the summary says of the job and its data.
  virtual void Describe(const wire::Job& job, report::RunSummary& summary) const = 0;

  // The bytes of the job's output, from the finished model as rank 0 left it.
  virtual base::Blob OutputOf(const wire::Job& job, const base::Blob& model) const = 0;

  // Evaluates the finished model on --test, if there is one, into the summary.
  virtual void Evaluate(const base::Blob& model, report::RunSummary& summary) const = 0;
};

// What a worker's training comes to.
struct WorkloadResult {
  TrainingOutcome outcome;  // the same on every rank
  std::string model;        // rank 0: the finished model, for TriggerWorkload
};

// One worker's share of a job.
class WorkerWorkload {
 public:
  virtual ~WorkerWorkload() = default;

  // Loads the worker's shards; returns how many rows they have. Errors: those of the store and of
  // the data.
  virtual int64_t Load(store::Store& data, const base::Deadline& deadline) = 0;

  // Trains with the peers; nothing if the generation ends before the job does. on_epoch is called
  // with each epoch's record, in order; of the epochs since the last saved state it may have been
  // called before.
  virtual std::optional<WorkloadResult> Train(
      Peers& peers, Generation& generation,
      const std::function<void(const report::EpochRecord&)>& on_epoch) = 0;
};

struct Workload {
  // Options that mean nothing to these models, and are refused if they are given.
  std::span<const std::string_view> foreign_options;
  // Fills defaults and refuses combinations that cannot work. Errors: kInvalidArgument.
  void (*resolve)(wire::Job& job);
  // The most epochs of a job that is resolved.
  int64_t (*epochs_max)(const wire::Job& job);
  std::string_view output_suffix;  // of an output that nobody named
  std::unique_ptr<TriggerWorkload> (*at_trigger)();
  std::unique_ptr<WorkerWorkload> (*at_worker)(const wire::Job& job, base::ThreadPool& pool);
};

const Workload& WorkloadOf(wire::ModelKind model);

}  // namespace lambdaml::train
