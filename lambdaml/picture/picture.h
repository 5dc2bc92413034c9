// Pictures as people have them, PNG and JPEG files, turned into images for networks.
//
// The one module that knows the libraries for such files (libpng, libjpeg-turbo); only the command
// line links it, so that workers do not carry them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::picture {

// Rows from the top, in each the pixels from the left, each red, green, blue.
struct Picture {
  int64_t width = 0;
  int64_t height = 0;
  std::vector<uint8_t> pixels;  // height · width · 3
};

inline constexpr int64_t kPictureSideMax = 16'384;
inline constexpr int64_t kPicturePixelsMax = int64_t{1} << 26;  // 192 MiB decoded

// Whether the first bytes of a file (8 are enough) are those of a PNG or JPEG file.
bool IsPicture(base::ByteSpan start);

// Decodes a file. Grey, palettes and 16 bits become 8-bit RGB; what is transparent becomes white.
// Errors, naming `name`: kInvalidData for anything but a whole and sound PNG or JPEG file, CMYK,
// and pictures above the limits.
Picture DecodePicture(base::ByteSpan bytes, std::string_view name);

// The middle square of a picture, averaged down to side · side pixels: three planes (red, green,
// blue) of `side` rows. A picture of that size stays as it is. Errors: kInvalidData, naming `name`,
// if the picture is narrower or lower than `side`.
std::vector<uint8_t> PlanesOf(const Picture& picture, int64_t side, std::string_view name);

}  // namespace lambdaml::picture
