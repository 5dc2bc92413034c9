#include "lambdaml/data/load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <span>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/byte_source.h"
#include "lambdaml/data/idx.h"
#include "lambdaml/data/images.h"
#include "lambdaml/data/libsvm_reader.h"
#include "lambdaml/data/npz.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

// Fits width and layout of a binary shard to the options.
Dataset Adapt(Dataset dataset, const std::string& name, const LoadOptions& options) {
  const int64_t n_features = options.n_features.value_or(dataset.n_features());
  if (n_features < dataset.n_features()) {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: {} features exceed --n_features {}", name,
                                                     dataset.n_features(), n_features));
  }
  const bool wants_dense =
      options.layout == Layout::kDense || (options.layout == Layout::kAuto && dataset.is_dense());
  if (wants_dense) {
    if (dataset.is_dense() && n_features == dataset.n_features()) return dataset;
    DenseBuilder dense(n_features);
    dense.Append(dataset);
    return std::move(dense).Finish();
  }
  if (dataset.is_dense()) dataset = ToSparse(dataset);
  SparseRows wider = dataset.sparse();
  wider.n_features = n_features;
  dataset.features = wider;
  return dataset;
}

// A source whose first bytes were looked at.
class PeekedSource final : public ByteSource {
 public:
  explicit PeekedSource(ByteSource& source) : source_(source) {
    while (size_ < start_.size()) {
      const size_t more = source_.Read(std::span(start_).subspan(size_));
      if (more == 0) break;
      size_ += more;
    }
  }

  base::ByteSpan start() const { return std::as_bytes(std::span(start_).first(size_)); }

  size_t Read(std::span<char> target) override {
    const size_t count = std::min(size_ - position_, target.size());
    if (count == 0) return source_.Read(target);
    std::copy_n(start_.begin() + static_cast<ptrdiff_t>(position_), count, target.begin());
    position_ += count;
    return count;
  }

  const std::string& name() const override { return source_.name(); }

 private:
  ByteSource& source_;
  std::array<char, 4> start_ = {};
  size_t size_ = 0;
  size_t position_ = 0;  // of what was read again
};

Dataset ReadStream(ByteSource& compressed_or_plain, const LoadOptions& options) {
  PeekedSource source(compressed_or_plain);
  if (IsIdx(source.start())) return ReadIdx(source, options);
  return ReadLibsvm(source, {.index_base = options.index_base,
                             .n_features = options.n_features,
                             .layout = options.layout});
}

// Looks at regular files only: what a pipe gives can be read once, and is a stream.
bool IsNpzFile(const std::string& path) {
  std::error_code ignored;  // the caller's open fails with the reason
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  const base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) base::ThrowErrno("open", path, errno);
  std::array<std::byte, 4> start = {};
  return ::pread(file.get(), start.data(), start.size(), 0) == 4 && IsNpz(start);
}

}  // namespace

Dataset LoadFile(const std::string& path, const LoadOptions& options) {
  if (IsNpzFile(path)) {
    return Adapt(DecodeNpz(base::MapFile(path, /*populate=*/true), path), path, options);
  }
  if (IsImageName(path)) return LoadBytes(base::MapFile(path), path, options);
  return ReadStream(*OpenFileSource(path), options);
}

Dataset LoadBytes(base::Blob bytes, const std::string& name, const LoadOptions& options) {
  if (IsNpz(bytes.span())) return Adapt(DecodeNpz(std::move(bytes), name), name, options);
  if (IsImageName(name)) {
    return Adapt(ToDataset(DecodeImages(std::move(bytes), name, kImageClassesMax)), name, options);
  }
  return ReadStream(*OpenMemorySource(std::move(bytes), name), options);
}

}  // namespace lambdaml::data
