// What the tests of networks share: small sets of images, a job on them, and its workers in threads
// over one store in memory.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/data/generate_images.h"
#include "lambdaml/data/image_folder.h"
#include "lambdaml/store/memory_store.h"
#include "lambdaml/train/cnn_data.h"
#include "lambdaml/train/cnn_defaults.h"
#include "lambdaml/train/cnn_trainer.h"
#include "lambdaml/train/peers.h"

#include "support/processes.h"

namespace lambdaml::train {

inline wire::Job CnnJob(int64_t workers) {
  wire::Job job;
  job.model = wire::ModelKind::kMobileNet;
  job.data = "images.bin";
  job.n_workers = workers;
  job.job_id = "job";
  job.n_classes = 3;
  job.n_epochs = 2;
  job.batch_size = 4;
  job.lr = 0.02;
  job.round_timeout_s = 30;
  ResolveCnnJob(job);
  return job;
}

inline data::ImageSet SmallImages(int64_t rows) {
  return data::GenerateImages({.rows = rows, .n_classes = 3, .seed = 5});
}

// A store that holds the images in `parts` shards, with test images if there are any.
inline void PutShards(store::Store& store, const data::ImageSet& images, int64_t parts,
                      const std::optional<data::ImageSet>& test = std::nullopt) {
  const base::Deadline deadline = base::Deadline::After(std::chrono::seconds(30));
  data::SplitImages(images, test, {.parts = parts},
                    [&](std::string_view name, base::ByteSpan bytes) {
                      store.Put(std::string(name), bytes, deadline);
                    });
}

// What one worker ended with.
struct CnnRun {
  bool has_ended = false;
  TrainingOutcome outcome;
  std::vector<report::EpochRecord> records;
  std::vector<float> parameters;
  std::vector<float> statistics;
};

inline const data::Normalisation kTestNormalisation = {.mean = {0.5F, 0.5F, 0.5F},
                                                       .deviation = {0.2F, 0.2F, 0.2F}};

inline std::unique_ptr<nn::Network> MakeTestNetwork(const wire::Job& job) {
  auto network = std::make_unique<nn::Network>(
      nn::NetworkOptions{.architecture = ArchitectureOf(job.model).value(),
                         .n_classes = ClassCountOf(job),
                         .batch_size_max = *job.batch_size,
                         .thread_count = 1});
  return network;
}

// Trains with all workers at once on what PutShards has put into `data`.
inline std::vector<CnnRun> RunCnn(
    store::Store& data, const wire::Job& job,
    const std::function<std::unique_ptr<Generation>(int rank)>& make_generation = [](int) {
      return std::make_unique<WholeRun>();
    }) {
  std::vector<CnnRun> runs(static_cast<size_t>(job.n_workers));
  store::MemoryStore shared;
  test::RunInThreads(static_cast<int>(job.n_workers), [&](int rank) {
    CnnRun& run = runs[static_cast<size_t>(rank)];
    wire::Job own = job;
    own.worker_index = rank;
    const base::Deadline end = base::Deadline::After(std::chrono::minutes(2));
    const CnnShards shards = LoadCnnShards(data, own, end);
    comm::StoreChannel channel(shared);
    Peers peers(own, channel, end);
    const auto network = MakeTestNetwork(own);
    const auto generation = make_generation(rank);
    const auto begin = [&] {
      network->Initialise(static_cast<uint64_t>(own.seed));
      return kTestNormalisation;
    };
    const auto on_epoch = [&](const report::EpochRecord& record) { run.records.push_back(record); };
    const std::optional<CnnResult> result = TrainCnn({.network = *network,
                                                      .shards = shards,
                                                      .begin = begin,
                                                      .job = own,
                                                      .peers = peers,
                                                      .generation = *generation,
                                                      .on_epoch = on_epoch});
    run.has_ended = result.has_value();
    if (!result) return;
    run.outcome = result->outcome;
    run.parameters.assign(network->parameters().begin(), network->parameters().end());
    run.statistics.assign(network->statistics().begin(), network->statistics().end());
  });
  return runs;
}

}  // namespace lambdaml::train
