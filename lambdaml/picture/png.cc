#include <fmt/format.h>
#include <png.h>

#include "lambdaml/picture/decoders.h"

namespace lambdaml::picture {
namespace {

// Frees what libpng holds however decoding ends.
struct PngImage {
  PngImage() { image.version = PNG_IMAGE_VERSION; }
  PngImage(const PngImage&) = delete;
  PngImage& operator=(const PngImage&) = delete;
  ~PngImage() { png_image_free(&image); }

  png_image image = {};
};

// PNG_IMAGE_FAILED, without the macro's signed arithmetic.
bool IsSound(const png_image& image) { return (image.warning_or_error & 3U) <= 1; }

}  // namespace

Picture DecodePng(base::ByteSpan bytes, std::string_view name) {
  PngImage png;
  const auto fail = [&] { Refuse(name, fmt::format("bad PNG file: {}", png.image.message)); };
  if (png_image_begin_read_from_memory(&png.image, bytes.data(), bytes.size()) == 0) fail();
  png.image.format = PNG_FORMAT_RGB;
  Picture picture = MakePicture(png.image.width, png.image.height, name);
  const png_color white = {255, 255, 255};
  if (png_image_finish_read(&png.image, &white, picture.pixels.data(), 0, nullptr) == 0 ||
      !IsSound(png.image)) {
    fail();
  }
  return picture;
}

}  // namespace lambdaml::picture
