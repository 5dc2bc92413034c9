#include "lambdaml/data/generate_images.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <numbers>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::data {
namespace {

constexpr int64_t kRowsMax = 10'000'000;
constexpr uint64_t kPatternStream = uint64_t{1} << 63;  // rows count from 0
constexpr double kNoise = 20;                           // deviation of a pixel, of 255
constexpr double kAmplitude = 55;

// Σ over two waves of amplitude · cos(2π(fx·x + fy·y) + phase), for each channel its own amplitude.
struct Wave {
  double fx = 0;  // periods per pixel
  double fy = 0;
  std::array<double, kImageChannels> amplitude = {};
};
using Pattern = std::array<Wave, 2>;

std::vector<Pattern> DrawPatterns(const GenerateImagesOptions& options) {
  base::Random random(base::MixSeed(options.seed, kPatternStream));
  std::vector<Pattern> patterns(static_cast<size_t>(options.n_classes));
  for (Pattern& pattern : patterns) {
    for (Wave& wave : pattern) {
      const double angle = std::numbers::pi * random.Uniform();
      const double frequency = 1.0 / 16 + random.Uniform() * 3 / 16;
      wave.fx = frequency * std::cos(angle);
      wave.fy = frequency * std::sin(angle);
      for (double& amplitude : wave.amplitude) {
        amplitude = kAmplitude * (2 * random.Uniform() - 1);
      }
    }
  }
  return patterns;
}

uint8_t PixelOf(double value) {
  return static_cast<uint8_t>(std::lround(std::clamp(value, 0.0, 255.0)));
}

void DrawImage(const Pattern& pattern, base::Random& random, uint8_t* target) {
  const double brightness = 128 + 15 * random.Normal();
  std::array<double, 2> phases = {};
  for (double& phase : phases) phase = 2 * std::numbers::pi * random.Uniform();
  for (size_t channel = 0; channel < kImageChannels; ++channel) {
    for (int64_t y = 0; y < kImageSide; ++y) {
      for (int64_t x = 0; x < kImageSide; ++x) {
        double value = brightness + kNoise * random.Normal();
        for (size_t w = 0; w < pattern.size(); ++w) {
          const Wave& wave = pattern[w];
          const double turns = wave.fx * static_cast<double>(x) + wave.fy * static_cast<double>(y);
          value += wave.amplitude[channel] * std::cos(2 * std::numbers::pi * turns + phases[w]);
        }
        *target++ = PixelOf(value);
      }
    }
  }
}

void CheckRange(std::string_view option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("{} is {}, it must be {} to {}", option, value, min, max));
}

}  // namespace

ImageSet GenerateImages(const GenerateImagesOptions& options) {
  CheckRange("--rows", options.rows, 1, kRowsMax);
  CheckRange("--n_classes", options.n_classes, 2, kImageClassesMax);
  const std::vector<Pattern> patterns = DrawPatterns(options);
  base::Bytes records(static_cast<size_t>(options.rows * kImageRecordBytes));
  auto* record = reinterpret_cast<uint8_t*>(records.data());
  for (int64_t row = 0; row < options.rows; ++row, record += kImageRecordBytes) {
    base::Random random(base::MixSeed(options.seed, static_cast<uint64_t>(row)));
    const uint64_t label = random.Below(patterns.size());
    record[0] = static_cast<uint8_t>(label);
    DrawImage(patterns[label], random, record + 1);
  }
  return ImageSet(base::Blob(std::move(records)));
}

}  // namespace lambdaml::data
