#include "lambdaml/data/byte_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zlib.h>
#include <zstd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

constexpr size_t kCompressedWindowBytes = 128 << 10;
constexpr std::string_view kGzipMagic = "\x1f\x8b";
constexpr std::string_view kZstdMagic = "\x28\xb5\x2f\xfd";
// Skippable frames (0x184D2A50 to 5F, little-endian) may stand before the first zstd frame.
constexpr std::string_view kZstdSkippableTail = "\x2a\x4d\x18";

class FileSource final : public ByteSource {
 public:
  explicit FileSource(std::string path) : path_(std::move(path)) {
    file_ = base::FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    if (file_.get() < 0) base::ThrowErrno("open", path_, errno);
    struct stat status = {};
    if (::fstat(file_.get(), &status) != 0) base::ThrowErrno("stat", path_, errno);
    if (S_ISDIR(status.st_mode)) base::ThrowErrno("read", path_, EISDIR);
    ::posix_fadvise(file_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  }

  size_t Read(std::span<char> target) override {
    for (;;) {
      const ssize_t got = ::read(file_.get(), target.data(), target.size());
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) base::ThrowErrno("read", path_, errno);
    }
  }
  const std::string& name() const override { return path_; }

 private:
  std::string path_;
  base::FileDescriptor file_;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(base::Blob bytes, std::string name)
      : bytes_(std::move(bytes)), rest_(bytes_.text()), name_(std::move(name)) {}

  size_t Read(std::span<char> target) override {
    const size_t count = std::min(target.size(), rest_.size());
    std::copy_n(rest_.data(), count, target.data());
    rest_.remove_prefix(count);
    return count;
  }
  const std::string& name() const override { return name_; }

 private:
  base::Blob bytes_;
  std::string_view rest_;
  std::string name_;
};

// What decompressors share: a window of compressed bytes.
class Compressed : public ByteSource {
 public:
  const std::string& name() const override { return raw_->name(); }

 protected:
  explicit Compressed(std::unique_ptr<ByteSource> raw) : raw_(std::move(raw)) {}

  // The compressed bytes at hand; reads more once they are used up. Empty at the end of the file.
  std::span<char> Input() {
    if (input_.empty()) {
      input_ = std::span(window_);
      input_ = input_.first(raw_->Read(input_));
    }
    return input_;
  }
  void Consume(size_t count) { input_ = input_.subspan(count); }

  [[noreturn]] void Fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: {}", name(), what));
  }

 private:
  std::unique_ptr<ByteSource> raw_;
  std::vector<char> window_ = std::vector<char>(kCompressedWindowBytes);
  std::span<char> input_;
};

class GzipSource final : public Compressed {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> raw) : Compressed(std::move(raw)) {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (::inflateInit2(&stream_, kGzipOnly) != Z_OK) Fail("no memory to decompress gzip");
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override { ::inflateEnd(&stream_); }

  size_t Read(std::span<char> target) override {
    size_t filled = 0;
    while (filled < target.size()) {
      const std::span<char> input = Input();
      if (input.empty()) {
        if (inside_member_) Fail("gzip data is truncated");
        break;
      }
      if (!inside_member_) {
        ::inflateReset(&stream_);
        inside_member_ = true;
      }
      filled += Inflate(input, target.subspan(filled));
    }
    return filled;
  }

 private:
  size_t Inflate(std::span<char> input, std::span<char> target) {
    const size_t room = std::min<size_t>(target.size(), 1U << 30);  // zlib counts in 32 bits
    stream_.next_in = reinterpret_cast<Bytef*>(input.data());
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(target.data());
    stream_.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&stream_, Z_NO_FLUSH);
    Consume(input.size() - stream_.avail_in);
    if (status == Z_STREAM_END) {
      inside_member_ = false;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      Fail(fmt::format("gzip data is corrupt ({})",
                       stream_.msg != nullptr ? stream_.msg : "inflate failed"));
    }
    return room - stream_.avail_out;
  }

  z_stream stream_ = {};
  bool inside_member_ = false;
};

class ZstdSource final : public Compressed {
 public:
  explicit ZstdSource(std::unique_ptr<ByteSource> raw)
      : Compressed(std::move(raw)), stream_(::ZSTD_createDStream(), &::ZSTD_freeDStream) {
    if (stream_ == nullptr) Fail("no memory to decompress zstd");
  }

  size_t Read(std::span<char> target) override {
    ZSTD_outBuffer out = {target.data(), target.size(), 0};
    while (out.pos < out.size) {
      const std::span<char> input = Input();
      // At the end of the file the stream may still hold decompressed bytes to flush.
      ZSTD_inBuffer in = {input.data(), input.size(), 0};
      const size_t before = out.pos;
      if (input.empty() && !inside_frame_) break;
      const size_t status = ::ZSTD_decompressStream(stream_.get(), &out, &in);
      if (::ZSTD_isError(status) != 0) {
        Fail(fmt::format("zstd data is corrupt ({})", ::ZSTD_getErrorName(status)));
      }
      Consume(in.pos);
      inside_frame_ = status != 0;
      if (input.empty() && inside_frame_ && out.pos == before) Fail("zstd data is truncated");
    }
    return out.pos;
  }

 private:
  std::unique_ptr<ZSTD_DStream, decltype(&::ZSTD_freeDStream)> stream_;
  bool inside_frame_ = false;
};

// Gives back first what was read to recognise the format.
class PrefixedSource final : public ByteSource {
 public:
  PrefixedSource(std::string prefix, std::unique_ptr<ByteSource> rest)
      : prefix_(std::move(prefix)), rest_(std::move(rest)) {}

  size_t Read(std::span<char> target) override {
    if (used_ == prefix_.size()) return rest_->Read(target);
    const size_t count = prefix_.copy(target.data(), target.size(), used_);
    used_ += count;
    return count;
  }
  const std::string& name() const override { return rest_->name(); }

 private:
  std::string prefix_;
  size_t used_ = 0;
  std::unique_ptr<ByteSource> rest_;
};

std::unique_ptr<ByteSource> Recognise(std::unique_ptr<ByteSource> raw) {
  std::array<char, 4> magic;
  size_t filled = 0;
  while (filled < magic.size()) {
    const size_t got = raw->Read(std::span(magic).subspan(filled));
    if (got == 0) break;
    filled += got;
  }
  const std::string_view start(magic.data(), filled);
  auto whole = std::make_unique<PrefixedSource>(std::string(start), std::move(raw));
  if (start.starts_with(kGzipMagic)) return std::make_unique<GzipSource>(std::move(whole));
  const bool skippable =
      filled == 4 && (start[0] & 0xf0) == 0x50 && start.substr(1) == kZstdSkippableTail;
  if (start == kZstdMagic || skippable) return std::make_unique<ZstdSource>(std::move(whole));
  return whole;
}

}  // namespace

std::unique_ptr<ByteSource> OpenFileSource(const std::string& path) {
  return Recognise(std::make_unique<FileSource>(path));
}

std::unique_ptr<ByteSource> OpenMemorySource(base::Blob bytes, std::string name) {
  return Recognise(std::make_unique<MemorySource>(std::move(bytes), std::move(name)));
}

}  // namespace lambdaml::data
