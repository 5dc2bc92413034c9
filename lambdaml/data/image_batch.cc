#include "lambdaml/data/image_batch.h"

#include <algorithm>
#include <cmath>

#include "lambdaml/base/random.h"

namespace lambdaml::data {
namespace {

constexpr double kPixelMax = 255;

// Keeps the streams of variations apart from others of the same seed.
constexpr uint64_t kVariationStream = 0x6372'6f70'666c'6970;

}  // namespace

PixelSums SumPixels(const ImageSet& images) {
  PixelSums sums;
  sums.count = static_cast<double>(images.rows() * kImagePlane);
  for (int64_t row = 0; row < images.rows(); ++row) {
    const auto pixels = images.pixels(row);
    for (size_t channel = 0; channel < kImageChannels; ++channel) {
      uint32_t sum = 0;
      uint32_t square = 0;  // at most 1024 · 255² < 2^27
      for (const uint8_t pixel : pixels.subspan(channel * kImagePlane, kImagePlane)) {
        sum += pixel;
        square += uint32_t{pixel} * pixel;
      }
      sums.sum[channel] += sum;
      sums.square[channel] += square;
    }
  }
  return sums;
}

Normalisation NormalisationOf(const PixelSums& sums) {
  Normalisation result;
  if (sums.count == 0) return result;
  for (size_t channel = 0; channel < kImageChannels; ++channel) {
    const double mean = sums.sum[channel] / sums.count;
    const double variance = std::max(0.0, sums.square[channel] / sums.count - mean * mean);
    result.mean[channel] = static_cast<float>(mean / kPixelMax);
    const auto deviation = static_cast<float>(std::sqrt(variance) / kPixelMax);
    result.deviation[channel] = deviation > 0 ? deviation : 1;
  }
  return result;
}

Variation DrawVariation(uint64_t seed, int64_t epoch, int64_t number) {
  const uint64_t stream = base::MixSeed(seed ^ kVariationStream, static_cast<uint64_t>(epoch));
  base::Random random(base::MixSeed(stream, static_cast<uint64_t>(number)));
  constexpr auto kPlaces = static_cast<uint64_t>(2 * kCropPadding + 1);
  Variation variation;
  variation.dx = static_cast<int64_t>(random.Below(kPlaces)) - kCropPadding;
  variation.dy = static_cast<int64_t>(random.Below(kPlaces)) - kCropPadding;
  variation.mirrored = random.Below(2) == 1;
  return variation;
}

ImageWriter::ImageWriter(const Normalisation& normalisation) : values_() {
  for (size_t channel = 0; channel < kImageChannels; ++channel) {
    for (size_t pixel = 0; pixel < values_[channel].size(); ++pixel) {
      const double x = static_cast<double>(pixel) / kPixelMax;
      values_[channel][pixel] = static_cast<float>((x - double{normalisation.mean[channel]}) /
                                                   double{normalisation.deviation[channel]});
    }
  }
}

void ImageWriter::Write(std::span<const uint8_t, kImagePixels> pixels, float* target) const {
  for (size_t channel = 0; channel < kImageChannels; ++channel) {
    const auto plane = pixels.subspan(channel * kImagePlane, kImagePlane);
    const auto& values = values_[channel];
    target = std::ranges::transform(plane, target, [&](uint8_t p) { return values[p]; }).out;
  }
}

void ImageWriter::Write(std::span<const uint8_t, kImagePixels> pixels, const Variation& variation,
                        float* target) const {
  for (size_t channel = 0; channel < kImageChannels; ++channel) {
    const auto plane = pixels.subspan(channel * kImagePlane, kImagePlane);
    const auto& values = values_[channel];
    for (int64_t y = 0; y < kImageSide; ++y) {
      const int64_t from_y = y + variation.dy;
      for (int64_t x = 0; x < kImageSide; ++x) {
        const int64_t shifted = variation.mirrored ? kImageSide - 1 - x : x;
        const int64_t from_x = shifted + variation.dx;
        const bool inside =
            from_x >= 0 && from_x < kImageSide && from_y >= 0 && from_y < kImageSide;
        *target++ = inside ? values[plane[static_cast<size_t>(from_y * kImageSide + from_x)]] : 0;
      }
    }
  }
}

}  // namespace lambdaml::data
