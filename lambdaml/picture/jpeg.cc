#include <array>
#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <fmt/format.h>
#include <jpeglib.h>

#include "lambdaml/picture/decoders.h"

namespace lambdaml::picture {
namespace {

// A progressive file may ask for any number of passes over all its pixels; real ones have ten.
constexpr int kScansMax = 100;

// libjpeg reports an error by a call that must not return, so it comes back by longjmp. All that is
// touched between setjmp and there lives in this object, and nothing there has a destructor.
class JpegDecoder {
 public:
  JpegDecoder(base::ByteSpan bytes, std::string_view name) : bytes_(bytes), name_(name) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { Of(info).Leave(); };
    // Sound files give no warning; "premature end of file" is one.
    errors_.emit_message = [](j_common_ptr info, int level) {
      if (level < 0) Of(info).Leave();
    };
    info_.client_data = this;
    progress_.progress_monitor = [](j_common_ptr info) { Of(info).CheckScans(); };
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  Picture Decode() {
    if (!ReadHeader()) Fail();
    if (info_.num_components != 1 && info_.num_components != 3) {
      Refuse(name_, "a JPEG file in CMYK: convert it to RGB");
    }
    Picture picture = MakePicture(info_.image_width, info_.image_height, name_);
    if (!ReadPixels(picture.pixels.data())) Fail();
    return picture;
  }

 private:
  static JpegDecoder& Of(j_common_ptr info) {
    return *static_cast<JpegDecoder*>(info->client_data);
  }

  [[noreturn]] void Leave() {
    info_.err->format_message(reinterpret_cast<j_common_ptr>(&info_), message_.data());
    std::longjmp(escape_, 1);  // NOLINT(cert-err52-cpp): the library's way, see above
  }

  void CheckScans() {
    if (info_.input_scan_number <= kScansMax) return;
    fmt::format_to_n(message_.data(), message_.size() - 1, "more than {} scans", kScansMax);
    std::longjmp(escape_, 1);  // NOLINT(cert-err52-cpp)
  }

  [[noreturn]] void Fail() const {
    Refuse(name_, fmt::format("bad JPEG file: {}", message_.data()));
  }

  // False: failed, for the reason in message_.
  bool ReadHeader() {
    if (setjmp(escape_) != 0) return false;  // NOLINT(cert-err52-cpp)
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  bool ReadPixels(uint8_t* target) {
    if (setjmp(escape_) != 0) return false;  // NOLINT(cert-err52-cpp)
    info_.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = target + size_t{info_.output_scanline} * info_.output_width * 3;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  const base::ByteSpan bytes_;
  const std::string_view name_;
  jpeg_decompress_struct info_ = {};
  jpeg_error_mgr errors_ = {};
  jpeg_progress_mgr progress_ = {};
  std::jmp_buf escape_ = {};
  std::array<char, JMSG_LENGTH_MAX> message_ = {};
};

}  // namespace

Picture DecodeJpeg(base::ByteSpan bytes, std::string_view name) {
  return JpegDecoder(bytes, name).Decode();
}

}  // namespace lambdaml::picture
