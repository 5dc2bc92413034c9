#include "lambdaml/picture/picture.h"

#include <array>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <jpeglib.h>
#include <png.h>
#include <string>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

namespace lambdaml::picture {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Picture MakePattern(int64_t width, int64_t height) {
  Picture picture = {.width = width, .height = height, .pixels = {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (const int64_t value : {4 * x, 3 * y, x + y}) {
        picture.pixels.push_back(static_cast<uint8_t>(value % 256));
      }
    }
  }
  return picture;
}

std::string PngFile(const void* pixels, png_uint_32 width, png_uint_32 height, png_uint_32 format) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = format;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(size, '\0');
  EXPECT_NE(png_image_write_to_memory(&image, file.data(), &size, 0, pixels, 0, nullptr), 0);
  file.resize(size);
  return file;
}

std::string PngFile(const Picture& picture) {
  return PngFile(picture.pixels.data(), static_cast<png_uint_32>(picture.width),
                 static_cast<png_uint_32>(picture.height), PNG_FORMAT_RGB);
}

struct JpegOptions {
  J_COLOR_SPACE space = JCS_RGB;
  int components = 3;
  bool progressive = false;
};

std::string JpegFile(const Picture& picture, const JpegOptions& options = {}) {
  jpeg_compress_struct info = {};
  jpeg_error_mgr errors = {};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(picture.width);
  info.image_height = static_cast<JDIMENSION>(picture.height);
  info.input_components = options.components;
  info.in_color_space = options.space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  if (options.progressive) jpeg_simple_progression(&info);
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row(static_cast<size_t>(picture.width * options.components), 100);
  while (info.next_scanline < info.image_height) {
    if (options.components == 3) {
      const auto at = static_cast<ptrdiff_t>(info.next_scanline) * picture.width * 3;
      row.assign(picture.pixels.begin() + at, picture.pixels.begin() + at + picture.width * 3);
    }
    JSAMPROW pointer = row.data();
    jpeg_write_scanlines(&info, &pointer, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string file(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return file;
}

Picture Decode(const std::string& file) { return DecodePicture(base::AsBytes(file), "p"); }

std::string Refusal(const std::string& file) {
  try {
    Decode(file);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
    return error.message();
  }
  return "no error";
}

TEST(Picture, PngFilesComeBackExactly) {
  const Picture picture = MakePattern(50, 33);
  const Picture read = Decode(PngFile(picture));
  EXPECT_EQ(read.width, 50);
  EXPECT_EQ(read.height, 33);
  EXPECT_EQ(read.pixels, picture.pixels);
}

TEST(Picture, PngInGreyGivesEqualChannelsAndTransparencyWhite) {
  const std::array<uint8_t, 2> grey = {0, 200};
  EXPECT_THAT(Decode(PngFile(grey.data(), 2, 1, PNG_FORMAT_GRAY)).pixels,
              ElementsAre(0, 0, 0, 200, 200, 200));
  const std::array<uint8_t, 8> rgba = {10, 20, 30, 255, 10, 20, 30, 0};
  EXPECT_THAT(Decode(PngFile(rgba.data(), 2, 1, PNG_FORMAT_RGBA)).pixels,
              ElementsAre(10, 20, 30, 255, 255, 255));
}

TEST(Picture, JpegFilesComeBackClosely) {
  const Picture picture = MakePattern(40, 64);
  for (const bool progressive : {false, true}) {
    const Picture read = Decode(JpegFile(picture, {.progressive = progressive}));
    ASSERT_EQ(read.width, 40);
    ASSERT_EQ(read.height, 64);
    double difference = 0;
    for (size_t i = 0; i < read.pixels.size(); ++i) {
      difference += std::abs(int{read.pixels[i]} - int{picture.pixels[i]});
    }
    EXPECT_LT(difference / static_cast<double>(read.pixels.size()), 3);
  }
}

TEST(Picture, JpegInGreyIsRgbAndCmykIsRefused) {
  const Picture shape = {.width = 3, .height = 2, .pixels = {}};
  const Picture grey = Decode(JpegFile(shape, {.space = JCS_GRAYSCALE, .components = 1}));
  EXPECT_EQ(grey.pixels, std::vector<uint8_t>(18, 100));
  EXPECT_EQ(Refusal(JpegFile(shape, {.space = JCS_CMYK, .components = 4})),
            "p: a JPEG file in CMYK: convert it to RGB");
}

TEST(Picture, OtherFilesAreRefused) {
  for (const std::string& text : {std::string(), std::string("GIF89a"), std::string(3073, 'x')}) {
    EXPECT_FALSE(IsPicture(base::AsBytes(text)));
    EXPECT_EQ(Refusal(text), "p: neither a PNG nor a JPEG file");
  }
}

TEST(Picture, TruncatedFilesAreRefused) {
  const Picture picture = MakePattern(40, 40);
  for (const std::string& file : {PngFile(picture), JpegFile(picture)}) {
    EXPECT_TRUE(IsPicture(base::AsBytes(file)));
    // The last two bytes of a JPEG file are its end mark; a PNG file ends with an empty chunk.
    for (size_t size = 8; size + 12 < file.size(); size += 17) {
      EXPECT_THAT(Refusal(file.substr(0, size)), StartsWith("p: bad ")) << size;
    }
  }
}

TEST(Picture, HugeSizesAreRefusedBeforeMemoryIsTaken) {
  std::string png = PngFile(MakePattern(8, 8));
  // Width and height in the header chunk, whose checksum follows.
  const auto with_size = [&](uint32_t width, uint32_t height) {
    std::string file = png;
    for (int i = 0; i < 4; ++i) {
      file[static_cast<size_t>(16 + i)] = static_cast<char>(width >> (24 - 8 * i) & 255);
      file[static_cast<size_t>(20 + i)] = static_cast<char>(height >> (24 - 8 * i) & 255);
    }
    uint32_t crc = 0xffffffff;
    for (size_t i = 12; i < 29; ++i) {
      crc ^= static_cast<uint8_t>(file[i]);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    }
    for (int i = 0; i < 4; ++i) {
      file[static_cast<size_t>(29 + i)] = static_cast<char>(~crc >> (24 - 8 * i) & 255);
    }
    return file;
  };
  EXPECT_EQ(Refusal(with_size(8, 8)), "no error");
  EXPECT_THAT(Refusal(with_size(20'000, 10)), HasSubstr("20000 x 10 pixels are too many"));
  EXPECT_THAT(Refusal(with_size(16'000, 16'000)), HasSubstr("too many"));
  EXPECT_THAT(Refusal(with_size(0, 5)), StartsWith("p: bad PNG"));
  EXPECT_THAT(Refusal(with_size(0xffffffff, 5)), StartsWith("p: bad PNG"));
  std::string jpeg = JpegFile(MakePattern(8, 8));
  const size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\x3f\xff\x3f\xff");
  EXPECT_THAT(Refusal(jpeg), HasSubstr("16383 x 16383 pixels are too many"));
}

TEST(Picture, NoDamageCrashesTheDecoders) {
  const Picture picture = MakePattern(40, 40);
  const std::vector<std::string> files = {PngFile(picture), JpegFile(picture),
                                          JpegFile(picture, {.progressive = true})};
  base::Random random(5);
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string file = files[static_cast<size_t>(i) % files.size()];
    for (uint64_t k = random.Below(5) + 1; k > 0; --k) {
      file[8 + random.Below(file.size() - 8)] = static_cast<char>(random.Below(256));
    }
    try {
      const Picture read = Decode(file);
      EXPECT_EQ(std::ssize(read.pixels), read.width * read.height * 3);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::kInvalidData);
      ++refused;
    }
  }
  EXPECT_GT(refused, 500);
}

TEST(Planes, OfAPictureOfThatSizeAreItsPixels) {
  const Picture picture = MakePattern(32, 32);
  const std::vector<uint8_t> planes = PlanesOf(picture, 32, "p");
  ASSERT_EQ(planes.size(), 3072U);
  for (size_t i = 0; i < 1024; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      ASSERT_EQ(planes[channel * 1024 + i], picture.pixels[i * 3 + channel]);
    }
  }
}

TEST(Planes, OfALargerPictureAreMeansOverItsMiddleSquare) {
  // Four times as wide as high; the middle square is white, the rest black.
  Picture picture = {.width = 8, .height = 2, .pixels = std::vector<uint8_t>(48, 0)};
  for (size_t y = 0; y < 2; ++y) {
    for (size_t x = 3; x < 5; ++x) {
      for (size_t c = 0; c < 3; ++c) picture.pixels[(y * 8 + x) * 3 + c] = 255;
    }
  }
  EXPECT_EQ(PlanesOf(picture, 2, "p"), std::vector<uint8_t>(12, 255));
  EXPECT_EQ(PlanesOf(picture, 1, "p"), std::vector<uint8_t>(3, 255));
  // Three pixels onto two: each cell has one and a half.
  const Picture three = {
      .width = 3, .height = 3, .pixels = {0, 0,  0, 90, 0, 0, 30, 0,  0, 0, 0,  0, 90, 0,
                                          0, 30, 0, 0,  0, 0, 0,  90, 0, 0, 30, 0, 0}};
  const std::vector<uint8_t> planes = PlanesOf(three, 2, "p");
  EXPECT_THAT(std::vector<uint8_t>(planes.begin(), planes.begin() + 4),
              ElementsAre(30, 50, 30, 50));
}

TEST(Planes, OfASmallerPictureAreRefused) {
  try {
    PlanesOf(MakePattern(100, 31), 32, "cat.png");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(
        error.message(),
        "cat.png: 100 x 31 pixels are less than the network's 32 x 32: give a larger picture");
  }
}

}  // namespace
}  // namespace lambdaml::picture
