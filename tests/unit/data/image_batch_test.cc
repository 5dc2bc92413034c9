#include "lambdaml/data/image_batch.h"

#include <algorithm>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>
#include <tuple>
#include <vector>

#include "lambdaml/base/random.h"

#include "images_testing.h"

namespace lambdaml::data {
namespace {

ImageSet RandomImages(int64_t rows) {
  base::Random random(7);
  base::Bytes bytes(static_cast<size_t>(rows * kImageRecordBytes));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Below(256));
  return ImageSet(base::Blob(std::move(bytes)));
}

TEST(PixelSums, AreExactAndAddUpOverParts) {
  const ImageSet images = RandomImages(5);
  PixelSums expected;
  for (int64_t row = 0; row < 5; ++row) {
    for (size_t i = 0; i < kImagePixels; ++i) {
      const double pixel = images.pixels(row)[i];
      expected.sum[i / kImagePlane] += pixel;
      expected.square[i / kImagePlane] += pixel * pixel;
    }
  }
  const PixelSums sums = SumPixels(images);
  EXPECT_EQ(sums.sum, expected.sum);
  EXPECT_EQ(sums.square, expected.square);
  EXPECT_EQ(sums.count, 5 * 1024);
}

TEST(Normalisation, GivesEachChannelMeanZeroAndDeviationOne) {
  const ImageSet images = RandomImages(6);
  const ImageWriter writer(NormalisationOf(SumPixels(images)));
  std::array<double, 3> sum = {};
  std::array<double, 3> square = {};
  std::vector<float> values(kImagePixels);
  for (int64_t row = 0; row < images.rows(); ++row) {
    writer.Write(images.pixels(row), values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      sum[i / kImagePlane] += double{values[i]};
      square[i / kImagePlane] += double{values[i]} * double{values[i]};
    }
  }
  for (size_t channel = 0; channel < 3; ++channel) {
    EXPECT_NEAR(sum[channel] / (6 * 1024), 0, 1e-6);
    EXPECT_NEAR(square[channel] / (6 * 1024), 1, 1e-6);
  }
}

TEST(Normalisation, OfAChannelThatIsTheSameEverywhereGivesZeros) {
  const ImageSet images = ImagesOf({RecordText(0, 50), RecordText(1, 50)});
  const Normalisation normalisation = NormalisationOf(SumPixels(images));
  EXPECT_EQ(normalisation.deviation, (std::array<float, 3>{1, 1, 1}));
  std::vector<float> values(kImagePixels);
  ImageWriter(normalisation).Write(images.pixels(0), values.data());
  for (const float value : values) EXPECT_NEAR(value, 0, 1e-7);
  EXPECT_EQ(NormalisationOf(PixelSums{}), Normalisation{}) << "of no image";
}

// What a variation means, cell by cell, on an image that is padded first.
std::vector<float> SlowlyVaried(std::span<const uint8_t> pixels, const Variation& variation) {
  constexpr int64_t kPadded = kImageSide + 2 * kCropPadding;
  std::vector<float> out;
  for (int64_t channel = 0; channel < 3; ++channel) {
    std::vector<float> padded(kPadded * kPadded, 0.0F);
    for (int64_t y = 0; y < kImageSide; ++y) {
      for (int64_t x = 0; x < kImageSide; ++x) {
        padded[static_cast<size_t>((y + kCropPadding) * kPadded + x + kCropPadding)] =
            static_cast<float>(
                pixels[static_cast<size_t>(channel * kImagePlane + y * kImageSide + x)]) /
            255.0F;
      }
    }
    for (int64_t y = 0; y < kImageSide; ++y) {
      std::vector<float> line;
      for (int64_t x = 0; x < kImageSide; ++x) {
        line.push_back(padded[static_cast<size_t>((y + kCropPadding + variation.dy) * kPadded + x +
                                                  kCropPadding + variation.dx)]);
      }
      if (variation.mirrored) std::ranges::reverse(line);
      out.insert(out.end(), line.begin(), line.end());
    }
  }
  return out;
}

TEST(Variation, IsACropOfThePaddedImageMirroredOrNot) {
  const ImageSet images = RandomImages(1);
  const ImageWriter writer(Normalisation{});
  std::vector<float> values(kImagePixels);
  for (const Variation& variation :
       {Variation{0, 0, false}, Variation{4, -4, false}, Variation{-4, 4, true},
        Variation{1, 3, true}, Variation{0, 0, true}}) {
    writer.Write(images.pixels(0), variation, values.data());
    EXPECT_EQ(values, SlowlyVaried(images.pixels(0), variation));
  }
  std::vector<float> plain(kImagePixels);
  writer.Write(images.pixels(0), plain.data());
  writer.Write(images.pixels(0), Variation{}, values.data());
  EXPECT_EQ(values, plain);
}

TEST(Variation, DependsOnSeedEpochAndNumberAndComesOutEvenly) {
  const auto draw = [](uint64_t seed, int64_t epoch, int64_t number) {
    const Variation v = DrawVariation(seed, epoch, number);
    return std::tuple(v.dx, v.dy, v.mirrored);
  };
  EXPECT_EQ(draw(1, 2, 3), draw(1, 2, 3));
  std::set<std::tuple<int64_t, int64_t, bool>> seen;
  int same_epoch = 0;
  int same_seed = 0;
  int mirrored = 0;
  for (int64_t number = 0; number < 4000; ++number) {
    seen.insert(draw(1, 0, number));
    same_epoch += draw(1, 0, number) == draw(1, 1, number) ? 1 : 0;
    same_seed += draw(1, 0, number) == draw(2, 0, number) ? 1 : 0;
    mirrored += DrawVariation(1, 0, number).mirrored ? 1 : 0;
  }
  EXPECT_EQ(seen.size(), 162U) << "9 × 9 places, two ways round";
  EXPECT_LT(same_epoch, 100);
  EXPECT_LT(same_seed, 100);
  EXPECT_NEAR(mirrored, 2000, 150);
}

}  // namespace
}  // namespace lambdaml::data
