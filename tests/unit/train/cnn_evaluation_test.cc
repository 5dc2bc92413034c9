#include "lambdaml/train/cnn_evaluation.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "lambdaml/base/error.h"

#include "tests/unit/train/cnn_testing.h"

namespace lambdaml::train {
namespace {

CnnModel RandomModel() {
  nn::Network network({.n_classes = 3, .batch_size_max = 1});
  network.Initialise(4);
  return ModelOf(network, kTestNormalisation);
}

TEST(CnnEvaluation, AgreesWithThePredictedProbabilities) {
  const CnnModel model = RandomModel();
  const data::ImageSet images = SmallImages(70);  // more than one batch
  const std::vector<float> probabilities = PredictImages(model, images, "m");
  const CnnEvaluation evaluation = EvaluateImages(model, images, "m");
  ASSERT_EQ(probabilities.size(), 210U);
  double loss = 0;
  int64_t correct = 0;
  for (int64_t row = 0; row < 70; ++row) {
    const float* const own = probabilities.data() + row * 3;
    EXPECT_NEAR(double{own[0]} + double{own[1]} + double{own[2]}, 1, 1e-5);
    loss -= std::log(double{own[images.label(row)]});
    correct += ClassOf(own, 3) == images.label(row) ? 1 : 0;
  }
  EXPECT_EQ(evaluation.rows, 70);
  EXPECT_NEAR(evaluation.loss, loss / 70, 1e-5);
  EXPECT_NEAR(evaluation.accuracy, static_cast<double>(correct) / 70, 1e-12);
  EXPECT_EQ(std::accumulate(evaluation.confusion.begin(), evaluation.confusion.end(), int64_t{0}),
            70);
  const data::LabelCounts counts = data::CountImageLabels(images);
  for (size_t k = 0; k < 3; ++k) {
    EXPECT_EQ(evaluation.confusion[3 * k] + evaluation.confusion[3 * k + 1] +
                  evaluation.confusion[3 * k + 2],
              counts[k].rows);
  }
}

TEST(CnnEvaluation, NeedsToKnowHowImagesWereNormalised) {
  CnnModel model = RandomModel();
  model.normalisation.reset();
  try {
    PredictImages(model, SmallImages(1), "m.safetensors");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    EXPECT_THAT(error.message(), testing::HasSubstr("m.safetensors does not say how"));
  }
}

}  // namespace
}  // namespace lambdaml::train
