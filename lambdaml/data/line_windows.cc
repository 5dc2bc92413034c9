#include "lambdaml/data/line_windows.h"

#include <algorithm>
#include <cstring>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"

namespace lambdaml::data {
namespace {

// Stays in the second-level cache while it is parsed.
constexpr size_t kWindowBytes = 256 << 10;

}  // namespace

LineWindows::LineWindows(ByteSource& source, size_t padding_bytes, size_t line_bytes_max)
    : source_(source),
      padding_bytes_(padding_bytes),
      line_bytes_max_(line_bytes_max),
      buffer_(std::make_unique_for_overwrite<char[]>(kWindowBytes + padding_bytes)),
      buffer_bytes_(kWindowBytes + padding_bytes) {}

std::string_view LineWindows::Next(int64_t line) {
  std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  for (;;) {
    const size_t searched = end_;  // what was left over holds no line end
    const size_t got = Fill(end_);
    end_ += got;
    if (got == 0) {
      if (end_ == 0) return {};
      buffer_[end_++] = '\n';
    }
    const void* last = ::memrchr(buffer_.get() + searched, '\n', end_ - searched);
    if (last != nullptr) {
      begin_ = static_cast<size_t>(static_cast<const char*>(last) - buffer_.get()) + 1;
      return {buffer_.get(), begin_};
    }
    if (end_ > line_bytes_max_) {
      throw base::Error(base::ErrorCode::kInvalidData,
                        fmt::format("{}:{}: line is longer than {}", source_.name(), line,
                                    base::FormatBytes(line_bytes_max_)));
    }
  }
}

// Reads into the buffer from `from` until it is full or the source ends; makes it larger first if a
// line fills it. Keeps one byte for the '\n' of a last line without one.
size_t LineWindows::Fill(size_t from) {
  if (from + 1 >= buffer_bytes_ - padding_bytes_) {
    buffer_bytes_ = padding_bytes_ + std::min(2 * buffer_bytes_, line_bytes_max_ + kWindowBytes);
    auto larger = std::make_unique_for_overwrite<char[]>(buffer_bytes_);
    std::memcpy(larger.get(), buffer_.get(), from);
    buffer_ = std::move(larger);
  }
  const size_t room = buffer_bytes_ - padding_bytes_ - 1 - from;
  size_t filled = 0;
  while (filled < room) {
    const size_t got = source_.Read({buffer_.get() + from + filled, room - filled});
    if (got == 0) break;
    filled += got;
  }
  return filled;
}

}  // namespace lambdaml::data
