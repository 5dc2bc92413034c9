#include "lambdaml/train/cnn_evaluation.h"

#include <algorithm>
#include <fmt/format.h>
#include <span>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/nn/network.h"
#include "lambdaml/train/cnn_data.h"

namespace lambdaml::train {
namespace {

constexpr int64_t kBatchSize = 64;

// Calls take(batch, first row, network) for each batch.
template <typename Take>
void ForEachBatch(const CnnModel& model, const data::ImageSet& images, std::string_view origin,
                  Take take) {
  if (!model.normalisation) {
    throw base::Error(base::ErrorCode::kInvalidData,
                      fmt::format("{} does not say how its images were normalised: add the "
                                  "metadata lambdaml.mean and lambdaml.deviation",
                                  origin));
  }
  const data::ImageWriter writer(*model.normalisation);
  nn::Network network(
      {.architecture = model.architecture,
       .n_classes = model.n_classes,
       .batch_size_max = std::min(kBatchSize, images.rows()),
       .thread_count = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()))});
  SetNetwork(model, network);
  ImageBatch batch;
  for (int64_t begin = 0; begin < images.rows(); begin += kBatchSize) {
    FillBatch(images, writer, begin, std::min(begin + kBatchSize, images.rows()), batch);
    take(batch, begin, network);
  }
}

}  // namespace

std::vector<float> PredictImages(const CnnModel& model, const data::ImageSet& images,
                                 std::string_view origin) {
  std::vector<float> probabilities(static_cast<size_t>(images.rows() * model.n_classes));
  ForEachBatch(model, images, origin,
               [&](const ImageBatch& batch, int64_t first, nn::Network& network) {
                 const auto at = static_cast<size_t>(first * model.n_classes);
                 const auto size = static_cast<size_t>(batch.rows() * model.n_classes);
                 network.Predict(batch.images, std::span(probabilities).subspan(at, size));
               });
  return probabilities;
}

int64_t ClassOf(const float* probabilities, int64_t n_classes) {
  return std::max_element(probabilities, probabilities + n_classes) - probabilities;
}

CnnEvaluation EvaluateImages(const CnnModel& model, const data::ImageSet& images,
                             std::string_view origin) {
  CnnEvaluation evaluation;
  const int64_t n_classes = model.n_classes;
  evaluation.confusion.assign(static_cast<size_t>(n_classes * n_classes), 0);
  nn::BatchStats sums;
  std::vector<float> probabilities;
  ForEachBatch(model, images, origin,
               [&](const ImageBatch& batch, int64_t /*first*/, nn::Network& network) {
                 probabilities.resize(static_cast<size_t>(batch.rows() * n_classes));
                 sums += network.Evaluate(batch.images, batch.labels, probabilities);
                 for (int64_t r = 0; r < batch.rows(); ++r) {
                   const int64_t label = batch.labels[static_cast<size_t>(r)];
                   const int64_t guess = ClassOf(probabilities.data() + r * n_classes, n_classes);
                   ++evaluation.confusion[static_cast<size_t>(label * n_classes + guess)];
                 }
               });
  evaluation.rows = sums.rows;
  evaluation.loss = sums.loss_sum / static_cast<double>(sums.rows);
  int64_t correct = 0;
  for (int64_t k = 0; k < n_classes; ++k) {
    correct += evaluation.confusion[static_cast<size_t>(k * n_classes + k)];
  }
  evaluation.accuracy = static_cast<double>(correct) / static_cast<double>(sums.rows);
  return evaluation;
}

}  // namespace lambdaml::train
