#include "lambdaml/data/generate_images.h"

#include <array>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_testing.h"
#include "images_testing.h"

namespace lambdaml::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST(GenerateImages, RepeatsFromItsSeedAndGrowsFromTheFront) {
  const std::string text = TextOf(GenerateImages({.rows = 30, .seed = 4}));
  EXPECT_EQ(TextOf(GenerateImages({.rows = 30, .seed = 4})), text);
  EXPECT_THAT(TextOf(GenerateImages({.rows = 40, .seed = 4})), StartsWith(text));
  EXPECT_NE(TextOf(GenerateImages({.rows = 30, .seed = 5})), text);
}

TEST(GenerateImages, HasAllClassesAboutEquallyOften) {
  for (const int64_t n_classes : {2, 10, 25}) {
    const ImageSet images = GenerateImages({.rows = 1000, .n_classes = n_classes});
    const LabelCounts counts = CountImageLabels(images);
    ASSERT_EQ(static_cast<int64_t>(counts.size()), n_classes);
    for (const LabelCount& count : counts) {
      EXPECT_NEAR(static_cast<double>(count.rows), 1000.0 / static_cast<double>(n_classes),
                  5 * std::sqrt(1000.0 / static_cast<double>(n_classes)));
    }
  }
}

TEST(GenerateImages, MeanColoursDoNotTellTheClasses) {
  const ImageSet images = GenerateImages({.rows = 2000});
  std::array<double, 10> sum = {};
  std::array<double, 10> count = {};
  for (int64_t row = 0; row < images.rows(); ++row) {
    const auto label = static_cast<size_t>(images.label(row));
    for (const uint8_t pixel : images.pixels(row)) sum[label] += pixel;
    count[label] += kImagePixels;
  }
  for (size_t label = 0; label < 10; ++label) {
    EXPECT_NEAR(sum[label] / count[label], 128, 6) << "of a deviation of 15 in brightness";
  }
}

TEST(GenerateImages, OptionsOutOfRangeAreRefused) {
  EXPECT_THAT(ErrorOf([] { GenerateImages({.rows = 0}); }), HasSubstr("--rows is 0"));
  EXPECT_THAT(ErrorOf([] { GenerateImages({.n_classes = 1}); }), HasSubstr("--n_classes is 1"));
  EXPECT_THAT(ErrorOf([] { GenerateImages({.n_classes = 257}); }), HasSubstr("2 to 256"));
}

}  // namespace
}  // namespace lambdaml::data
