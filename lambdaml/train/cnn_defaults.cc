#include "lambdaml/train/cnn_defaults.h"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <string>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/data/image_folder.h"
#include "lambdaml/place/place.h"
#include "lambdaml/wire/job_options.h"

namespace lambdaml::train {
namespace {

using wire::Regularizer;
using wire::SyncMode;

constexpr int64_t kEpochs = 10;
constexpr int64_t kBatchSize = 64;
constexpr double kLearningRate = 0.05;
constexpr double kMomentum = 0.9;
constexpr double kWeightDecay = 5e-4;
constexpr std::string_view kPickle = ".pt";

[[noreturn]] void Refuse(std::string message) {
  throw base::Error(base::ErrorCode::kInvalidArgument, std::move(message));
}

// "training_3.pt", one worker's file in LambdaML's payloads.
bool IsLambdamlShard(std::string_view name) {
  constexpr std::string_view kPrefix = "training_";
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  const std::string_view digits = name.substr(0, name.find('.'));
  return !digits.empty() &&
         std::ranges::all_of(digits, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// LambdaML names the pickle of each worker; the same data in our format are the folder's shards.
void ResolveLambdamlFiles(wire::Job& job) {
  if (job.data_bucket.empty()) return;
  const std::string name = place::NameOf(job.data);
  if (IsLambdamlShard(name)) {
    const size_t at = job.data.rfind(name);
    job.data.erase(at, name.size());
  }
  if (job.test.ends_with(kPickle)) {
    job.test.replace(job.test.size() - kPickle.size(), kPickle.size(), ".bin");
  }
}

void CheckData(const wire::Job& job) {
  for (const std::string& place : {job.data, job.test}) {
    if (place.ends_with(kPickle)) {
      Refuse(
          fmt::format("{}: PyTorch's pickles are not read; give the images as CIFAR records "
                      "(.bin)",
                      place));
    }
  }
  const bool is_libsvm = job.dataset_type == wire::DatasetType::kDenseLibsvm ||
                         job.dataset_type == wire::DatasetType::kSparseLibsvm;
  if (is_libsvm) {
    Refuse(fmt::format("--dataset_type {}: networks learn from images; give cifar10",
                       wire::NameOf(job.dataset_type)));
  }
  const int64_t n_features = job.n_features.value_or(data::kImagePixels);
  if (n_features != data::kImagePixels && n_features != data::kImagePlane) {
    Refuse(fmt::format("--n_features {}: images are 32 x 32 pixels of 3 colours", n_features));
  }
  if (job.n_classes && *job.n_classes > data::kImageClassesMax) {
    Refuse(fmt::format("--n_classes {}: a label of the images' format is one byte, for {} classes",
                       *job.n_classes, data::kImageClassesMax));
  }
}

void ResolveAlgorithm(wire::Job& job) {
  if (!job.optim) job.optim = wire::Optim::kGradAvg;
  if (*job.optim == wire::Optim::kAdmm) {
    Refuse("--optim admm is for convex models: give grad_avg or model_avg");
  }
  // Asynchronous workers' stale steps act like momentum already (Mitliagkas et al. 2016,
  // "Asynchrony begets momentum").
  if (!job.momentum) job.momentum = job.sync_mode == SyncMode::kAsync ? 0 : kMomentum;
  if (!job.n_epochs) job.n_epochs = kEpochs;
  if (!job.batch_size) job.batch_size = kBatchSize;
  if (!job.lr) job.lr = kLearningRate;
  if (job.regularizer == Regularizer::kL1) {
    Refuse("--regularizer l1 is not for networks: give l2, or none");
  }
  if (!job.regularizer) {
    job.regularizer = job.lambda.value_or(1) > 0 ? Regularizer::kL2 : Regularizer::kNone;
  }
  if (*job.regularizer == Regularizer::kNone) job.lambda = 0;
  if (!job.lambda) job.lambda = kWeightDecay;
}

void ResolveSynchronisation(wire::Job& job) {
  const bool async = job.sync_mode == SyncMode::kAsync;
  if (job.patience > 0 && job.valid_ratio == 0) {
    Refuse("--patience needs validation rows: give --valid_ratio as well");
  }
  if (async && (job.patience > 0 || job.keep == wire::KeptEpoch::kBest)) {
    Refuse(fmt::format("--{} needs a synchronous --sync_mode: async workers share no epochs",
                       job.patience > 0 ? "patience" : "keep best"));
  }
  if (async && job.exchange == wire::Precision::kFloat16) {
    Refuse(
        "--exchange float16 needs a synchronous --sync_mode: async adds small changes to a shared "
        "model, which would swallow them in float16");
  }
  if (job.keep) return;
  const bool judged = job.valid_ratio > 0 && !async;
  job.keep = judged ? wire::KeptEpoch::kBest : wire::KeptEpoch::kLast;
}

}  // namespace

std::optional<nn::Architecture> ArchitectureOf(wire::ModelKind model) {
  switch (model) {
    case wire::ModelKind::kMobileNet:
      return nn::Architecture::kMobileNet;
    case wire::ModelKind::kResNet18:
      return nn::Architecture::kResNet18;
    case wire::ModelKind::kResNet50:
      return nn::Architecture::kResNet50;
    case wire::ModelKind::kLr:
    case wire::ModelKind::kSvm:
    case wire::ModelKind::kSparseLr:
    case wire::ModelKind::kSparseSvm:
    case wire::ModelKind::kKmeans:
      break;
  }
  return std::nullopt;
}

void ResolveCnnJob(wire::Job& job) {
  ResolveLambdamlFiles(job);
  CheckData(job);
  ResolveAlgorithm(job);
  ResolveSynchronisation(job);
}

}  // namespace lambdaml::train
