// Cuts a stream of bytes into windows of whole lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "lambdaml/data/byte_source.h"

namespace lambdaml::data {

// Threads: one caller.
class LineWindows {
 public:
  // Both outlive the object. `padding_bytes` readable bytes stand beyond each window.
  LineWindows(ByteSource& source, size_t padding_bytes, size_t line_bytes_max);

  // The next lines, the last of them ended by '\n' even if the file's last line is not; empty at
  // the end. Valid until the next call. `line` is the number of the first of them, for errors:
  // kInvalidData when it is longer than line_bytes_max; what the source throws.
  std::string_view Next(int64_t line);

 private:
  size_t Fill(size_t from);

  ByteSource& source_;
  size_t padding_bytes_;
  size_t line_bytes_max_;
  std::unique_ptr<char[]> buffer_;  // not zeroed: a small file touches a small part of it
  size_t buffer_bytes_;
  size_t begin_ = 0;  // of the bytes not yet handed out
  size_t end_ = 0;
};

}  // namespace lambdaml::data
