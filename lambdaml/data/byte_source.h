// A stream of bytes from a file or from memory, decompressed on the way.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::data {

// Threads: one caller.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  // Fills the front of `target` and returns how many bytes that were: 0 only at the end (or for an
  // empty target). Errors: kInvalidData for truncated or corrupt compression, naming the source;
  // what read(2) may fail with.
  virtual size_t Read(std::span<char> target) = 0;

  // As errors name it: a path, a URL.
  virtual const std::string& name() const = 0;
};

// Plain, gzip or zstd bytes, told apart by their first four. Several gzip members or zstd frames in
// a row read as one stream, as gzip and zstd themselves do. Memory: a window, never the file.
// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a folder).
std::unique_ptr<ByteSource> OpenFileSource(const std::string& path);

// The same over bytes in memory, which the source keeps alive.
std::unique_ptr<ByteSource> OpenMemorySource(base::Blob bytes, std::string name);

}  // namespace lambdaml::data
