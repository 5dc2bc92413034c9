#include "lambdaml/train/cnn_workload.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/data/image_batch.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/place/place.h"
#include "lambdaml/train/cnn_data.h"
#include "lambdaml/train/cnn_defaults.h"
#include "lambdaml/train/cnn_memory.h"
#include "lambdaml/train/cnn_model_file.h"
#include "lambdaml/train/cnn_trainer.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

constexpr std::array<std::string_view, 9> kForeignOptions = {
    "index_base",   "bias",      "n_clusters", "n_admm_epochs", "rho",
    "local_solver", "tolerance", "init",       "threshold"};

constexpr uint64_t kRunBytes = 64 << 20;  // of a run beside its images and rounds

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

nn::Architecture ArchitectureOfJob(const wire::Job& job) {
  return ArchitectureOf(job.model).value();
}

// The model to start from, fit for the job. Errors: kInvalidArgument.
CnnModel LoadInitialModel(const wire::Job& job) {
  CnnModel model = ParseCnnModel(place::Read(job.init_model), job.init_model);
  if (model.architecture != ArchitectureOfJob(job)) {
    Refuse(fmt::format("--init_model {}: it is a {}, not a {}", job.init_model,
                       nn::ArchitectureName(model.architecture), wire::NameOf(job.model)));
  }
  if (model.n_classes != ClassCountOf(job)) {
    Refuse(fmt::format("--init_model {}: it has {} classes; give --n_classes {}", job.init_model,
                       model.n_classes, model.n_classes));
  }
  return model;
}

class CnnTrigger final : public TriggerWorkload {
 public:
  uint64_t Open(wire::Job& job) override {
    if (!job.init_model.empty()) {
      LoadInitialModel(job);  // a bad file fails here, before anything starts
      if (place::IsLocal(job.init_model)) {
        job.init_model = std::filesystem::absolute(place::PathOf(job.init_model));
      }
    }
    data_ = OpenCnnData(job);
    rows_ = data_.rows;
    if (job.keep == wire::KeptEpoch::kBest && job.valid_ratio == 0 && !data_.test_name) {
      Refuse("--keep best needs images to judge by: give --valid_ratio, or --test");
    }
    if (*job.batch_size == 0) job.batch_size = RowsOfLargest(job);
    job.batch_size = std::min(*job.batch_size, RowsOfLargest(job));
    CheckCnnMemory(job, {.architecture = ArchitectureOfJob(job),
                         .n_classes = ClassCountOf(job),
                         .image_bytes = WorkerImageBytes(job)});
    // Contributions and sums of the rounds that a channel holds at the same time.
    const nn::StateLayout layout = nn::DescribeState(ArchitectureOfJob(job), ClassCountOf(job));
    const uint64_t element_bytes = job.exchange == wire::Precision::kFloat16 ? 2 : 4;
    const uint64_t round_bytes = (layout.parameter_count + layout.statistic_count) * element_bytes;
    return kRunBytes + data_.bytes_needed +
           3 * (static_cast<uint64_t>(job.n_workers) + 1) * round_bytes;
  }

  void Place(const std::string& folder, wire::Job& job) override {
    PlaceCnnData(std::move(data_), folder, job);
  }

  void Describe(const wire::Job& job, report::RunSummary& summary) const override {
    summary.optim = wire::NameOf(*job.optim);
    // The losses of networks are those of the images alone; the run's details have weight_decay.
    summary.regularizer = wire::NameOf(wire::Regularizer::kNone);
    summary.n_features = data::kImagePixels;
  }

  base::Blob OutputOf(const wire::Job& /*job*/, const base::Blob& model) const override {
    return model;
  }

  // The workers have evaluated the finished model, each on its share.
  void Evaluate(const base::Blob& /*model*/, report::RunSummary& summary) const override {
    const auto take = [&](std::string_view name) -> std::optional<double> {
      const auto found =
          std::ranges::find(summary.extra, name, [](const auto& entry) { return entry.first; });
      if (found == summary.extra.end()) return std::nullopt;
      const double value = found->second;
      summary.extra.erase(found);
      return value;
    };
    summary.test_loss = take("test_loss");
    summary.test_accuracy = take("test_accuracy");
  }

 private:
  // At most: shards may be of unequal sizes.
  int64_t RowsOfLargest(const wire::Job& job) const {
    if (data_.images) return (rows_ + job.n_workers - 1) / job.n_workers;
    std::vector<int64_t> rows(static_cast<size_t>(job.n_workers), 0);
    for (size_t i = 0; i < data_.manifest.shards.size(); ++i) {
      rows[i % rows.size()] += data_.manifest.shards[i].rows;
    }
    return *std::ranges::max_element(rows);
  }

  // Twice its shards, while they are joined, and the test images.
  uint64_t WorkerImageBytes(const wire::Job& job) const {
    const auto test = data_.test ? data_.test->records().size() : size_t{0};
    return static_cast<uint64_t>(2 * RowsOfLargest(job) * data::kImageRecordBytes) + test;
  }

  CnnJobData data_;
  int64_t rows_ = 0;
};

class CnnWorker final : public WorkerWorkload {
 public:
  CnnWorker(const wire::Job& job, base::ThreadPool& pool)
      : job_(job), thread_count_(pool.thread_count()) {}

  int64_t Load(store::Store& data, const base::Deadline& deadline) override {
    shards_ = LoadCnnShards(data, job_, deadline);
    return shards_.train.rows() + shards_.valid.rows();
  }

  std::optional<WorkloadResult> Train(
      Peers& peers, Generation& generation,
      const std::function<void(const report::EpochRecord&)>& on_epoch) override {
    nn::Network network({.architecture = ArchitectureOfJob(job_),
                         .n_classes = ClassCountOf(job_),
                         .batch_size_max = *job_.batch_size,
                         .thread_count = thread_count_});
    const std::optional<CnnResult> trained =
        TrainCnn({.network = network,
                  .shards = shards_,
                  .begin = [&] { return Initialise(network, peers.communicator()); },
                  .job = job_,
                  .peers = peers,
                  .generation = generation,
                  .on_epoch = on_epoch});
    if (!trained) return std::nullopt;
    WorkloadResult result;
    result.outcome = trained->outcome;
    if (job_.worker_index == 0) {
      const base::Bytes file = FormatCnnModel(ModelOf(network, trained->normalisation));
      result.model = base::AsText(file);
    }
    return result;
  }

 private:
  // Sets the first model and returns how images are normalised: as the model to start from says, or
  // by all workers' training images, for which it takes one round.
  data::Normalisation Initialise(nn::Network& network, comm::Communicator& communicator) {
    network.Initialise(static_cast<uint64_t>(job_.seed));
    if (!job_.init_model.empty()) {
      const CnnModel model = LoadInitialModel(job_);
      SetNetwork(model, network);
      if (model.normalisation) return *model.normalisation;
    }
    data::PixelSums sums = data::SumPixels(shards_.train);
    std::vector<double> values = {sums.count};
    values.insert(values.end(), sums.sum.begin(), sums.sum.end());
    values.insert(values.end(), sums.square.begin(), sums.square.end());
    communicator.AllReduceSum(values, {});
    sums.count = values[0];
    std::copy_n(values.begin() + 1, sums.sum.size(), sums.sum.begin());
    std::copy_n(values.begin() + 1 + std::ssize(sums.sum), sums.square.size(), sums.square.begin());
    return data::NormalisationOf(sums);
  }

  const wire::Job& job_;
  const int thread_count_;
  CnnShards shards_;
};

}  // namespace

const Workload kCnnWorkload = {
    .foreign_options = kForeignOptions,
    .resolve = ResolveCnnJob,
    .epochs_max = [](const wire::Job& job) { return *job.n_epochs; },
    .output_suffix = ".safetensors",
    .at_trigger = []() -> std::unique_ptr<TriggerWorkload> {
      return std::make_unique<CnnTrigger>();
    },
    .at_worker = [](const wire::Job& job, base::ThreadPool& pool)
        -> std::unique_ptr<WorkerWorkload> { return std::make_unique<CnnWorker>(job, pool); }};

}  // namespace lambdaml::train
