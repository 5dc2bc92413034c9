// Batches of images as networks take them: normalised float32 planes, on request shifted and
// mirrored.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "lambdaml/data/images.h"

namespace lambdaml::data {

// Sums over pixels, exact: integers below 2^53, so that sums of parts in any order are those of the
// whole (2^53 is enough for 10^8 images).
struct PixelSums {
  std::array<double, kImageChannels> sum = {};     // Σ p, p = 0..255
  std::array<double, kImageChannels> square = {};  // Σ p²
  double count = 0;                                // pixels of a channel
};

PixelSums SumPixels(const ImageSet& images);

// x = (p/255 − mean) / deviation, channel by channel (red, green, blue).
struct Normalisation {
  std::array<float, kImageChannels> mean = {0, 0, 0};
  std::array<float, kImageChannels> deviation = {1, 1, 1};

  bool operator==(const Normalisation&) const = default;
};

// Mean and deviation of p/255. A channel that is the same everywhere has deviation 1: it becomes 0.
Normalisation NormalisationOf(const PixelSums& sums);

// How training images vary (He et al. 2016, "Deep Residual Learning", section 4.2): padded by
// kCropPadding pixels of value 0 after normalisation (the mean colour), cropped to their size at a
// random place, mirrored half of the time.
inline constexpr int64_t kCropPadding = 4;

struct Variation {
  int64_t dx = 0;  // −kCropPadding..kCropPadding: out(x, y) = in(x + dx, y + dy)
  int64_t dy = 0;
  bool mirrored = false;  // left and right, after the shift
};

// What happens to an image in an epoch depends on these numbers alone: not on how many workers
// there are, nor on the order of the rows.
Variation DrawVariation(uint64_t seed, int64_t epoch, int64_t number);

// Writes one image as kImagePixels numbers: channel, y, x.
class ImageWriter {
 public:
  explicit ImageWriter(const Normalisation& normalisation);

  void Write(std::span<const uint8_t, kImagePixels> pixels, float* target) const;
  void Write(std::span<const uint8_t, kImagePixels> pixels, const Variation& variation,
             float* target) const;

 private:
  std::array<std::array<float, 256>, kImageChannels> values_;  // of each pixel value
};

}  // namespace lambdaml::data
