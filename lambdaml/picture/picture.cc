#include "lambdaml/picture/picture.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string>

#include "lambdaml/base/error.h"
#include "lambdaml/picture/decoders.h"

namespace lambdaml::picture {
namespace {

constexpr int64_t kChannels = 3;

constexpr std::string_view kPngStart = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegStart = "\xff\xd8\xff";

bool Begins(base::ByteSpan bytes, std::string_view start) {
  return base::AsText(bytes).starts_with(start);
}

// The mean of one channel over the part of a source pixel grid that target cell `at` of `side`
// covers, pixels at its edges counted by the share that lies in it: exact area averaging.
// Coordinates are in units of 1/side pixels, so that all weights are whole numbers.
uint8_t CellMean(const Picture& picture, int64_t left, int64_t top, int64_t extent, int64_t side,
                 int64_t at_x, int64_t at_y, int64_t channel) {
  const auto overlap = [&](int64_t at, int64_t pixel) {
    const int64_t begin = std::max(at * extent, pixel * side);
    const int64_t end = std::min((at + 1) * extent, (pixel + 1) * side);
    return end - begin;
  };
  int64_t sum = 0;
  for (int64_t y = at_y * extent / side; y * side < (at_y + 1) * extent; ++y) {
    for (int64_t x = at_x * extent / side; x * side < (at_x + 1) * extent; ++x) {
      const int64_t place = ((top + y) * picture.width + left + x) * kChannels + channel;
      sum +=
          overlap(at_x, x) * overlap(at_y, y) * int64_t{picture.pixels[static_cast<size_t>(place)]};
    }
  }
  const int64_t area = extent * extent;  // of a cell
  return static_cast<uint8_t>((sum + area / 2) / area);
}

}  // namespace

void Refuse(std::string_view name, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", name, what));
}

Picture MakePicture(int64_t width, int64_t height, std::string_view name) {
  if (width < 1 || height < 1) Refuse(name, "a picture without pixels");
  if (width > kPictureSideMax || height > kPictureSideMax || width * height > kPicturePixelsMax) {
    Refuse(name, fmt::format("{} x {} pixels are too many: at most {} in all and {} a side", width,
                             height, kPicturePixelsMax, kPictureSideMax));
  }
  Picture picture = {.width = width, .height = height, .pixels = {}};
  picture.pixels.resize(static_cast<size_t>(width * height * kChannels), 255);
  return picture;
}

bool IsPicture(base::ByteSpan start) {
  return Begins(start, kPngStart) || Begins(start, kJpegStart);
}

Picture DecodePicture(base::ByteSpan bytes, std::string_view name) {
  if (Begins(bytes, kPngStart)) return DecodePng(bytes, name);
  if (Begins(bytes, kJpegStart)) return DecodeJpeg(bytes, name);
  Refuse(name, "neither a PNG nor a JPEG file");
}

std::vector<uint8_t> PlanesOf(const Picture& picture, int64_t side, std::string_view name) {
  const int64_t extent = std::min(picture.width, picture.height);
  if (extent < side) {
    Refuse(name, fmt::format("{} x {} pixels are less than the network's {} x {}: give a larger "
                             "picture",
                             picture.width, picture.height, side, side));
  }
  const int64_t left = (picture.width - extent) / 2;
  const int64_t top = (picture.height - extent) / 2;
  std::vector<uint8_t> planes;
  planes.reserve(static_cast<size_t>(kChannels * side * side));
  for (int64_t channel = 0; channel < kChannels; ++channel) {
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        planes.push_back(CellMean(picture, left, top, extent, side, x, y, channel));
      }
    }
  }
  return planes;
}

}  // namespace lambdaml::picture
