#include "lambdaml/data/idx.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fmt/format.h>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/data/builder.h"

namespace lambdaml::data {
namespace {

constexpr size_t kMagicBytes = 4;
constexpr size_t kSizeBytes = 4;
constexpr uint8_t kUnsignedByte = 8;
constexpr size_t kBlockBytes = size_t{1} << 20;

[[noreturn]] void Fail(const ByteSource& source, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", source.name(), what));
}

// How many bytes of `target` the source could still fill.
size_t Fill(ByteSource& source, std::span<char> target) {
  size_t filled = 0;
  while (filled < target.size()) {
    const size_t more = source.Read(target.subspan(filled));
    if (more == 0) break;
    filled += more;
  }
  return filled;
}

void ReadExactly(ByteSource& source, std::span<char> target) {
  if (Fill(source, target) < target.size()) Fail(source, "the idx file is truncated");
}

void ExpectEnd(ByteSource& source) {
  std::array<char, 1> beyond = {};
  if (Fill(source, beyond) > 0) Fail(source, "the idx file has more bytes than its header says");
}

uint8_t ByteOf(char c) { return static_cast<uint8_t>(c); }

// The sizes of all dimensions; the bytes follow.
std::vector<int64_t> ReadHeader(ByteSource& source) {
  std::array<char, kMagicBytes> magic = {};
  ReadExactly(source, magic);
  if (!IsIdx(std::as_bytes(std::span(magic)))) Fail(source, "not an idx file");
  if (ByteOf(magic[2]) != kUnsignedByte) {
    Fail(source, fmt::format("idx elements of type {}, only unsigned bytes (type 8) are read",
                             ByteOf(magic[2])));
  }
  std::vector<int64_t> sizes(ByteOf(magic[3]));
  for (int64_t& size : sizes) {
    std::array<char, kSizeBytes> digits = {};
    ReadExactly(source, digits);
    for (const char digit : digits) size = size << 8 | ByteOf(digit);
  }
  if (sizes.empty() || sizes.front() == 0) Fail(source, "the idx file has no rows");
  return sizes;
}

int64_t FeatureCount(const ByteSource& source, const std::vector<int64_t>& sizes) {
  if (sizes.size() == 1) Fail(source, "an idx file of labels, not of rows: give it to --labels");
  int64_t count = 1;
  for (size_t d = 1; d < sizes.size(); ++d) {
    if (sizes[d] == 0) Fail(source, "the idx file has rows without features");
    if (sizes[d] > kFeaturesMax / count) Fail(source, "the idx file has too many features");
    count *= sizes[d];
  }
  return count;
}

}  // namespace

bool IsIdx(base::ByteSpan start) {
  return start.size() >= kMagicBytes && start[0] == std::byte{0} && start[1] == std::byte{0};
}

Dataset ReadIdx(ByteSource& source, const LoadOptions& options) {
  const std::vector<int64_t> sizes = ReadHeader(source);
  const int64_t n_features = FeatureCount(source, sizes);
  const int64_t width = options.n_features.value_or(n_features);
  if (width < n_features) {
    Fail(source, fmt::format("{} features exceed --n_features {}", n_features, width));
  }
  std::array<float, 256> scaled = {};
  for (size_t b = 0; b < scaled.size(); ++b) scaled[b] = static_cast<float>(b) / 255.0F;
  const auto row_bytes = static_cast<size_t>(n_features);
  const auto block_rows = static_cast<int64_t>(std::max<size_t>(1, kBlockBytes / row_bytes));
  std::vector<char> block;
  // Memory grows with the bytes that are there, whatever the header promises.
  DenseBuilder rows(width);
  for (int64_t begin = 0; begin < sizes.front(); begin += block_rows) {
    const auto count = static_cast<size_t>(std::min(block_rows, sizes.front() - begin));
    block.resize(count * row_bytes);
    ReadExactly(source, block);
    for (size_t r = 0; r < count; ++r) {
      float* const row = rows.AppendRow(0);
      const char* const bytes = block.data() + r * row_bytes;
      for (size_t j = 0; j < row_bytes; ++j) row[j] = scaled[ByteOf(bytes[j])];
    }
  }
  ExpectEnd(source);
  Dataset dataset = std::move(rows).Finish();
  return options.layout == Layout::kSparse ? ToSparse(dataset) : dataset;
}

std::vector<double> LoadIdxLabels(base::Blob bytes, const std::string& name) {
  const std::unique_ptr<ByteSource> source = OpenMemorySource(std::move(bytes), name);
  const std::vector<int64_t> sizes = ReadHeader(*source);
  if (sizes.size() != 1) Fail(*source, "an idx file of rows, not of labels");
  std::vector<double> labels;
  std::vector<char> block;
  while (static_cast<int64_t>(labels.size()) < sizes.front()) {
    const auto left = static_cast<size_t>(sizes.front()) - labels.size();
    block.resize(std::min(kBlockBytes, left));
    ReadExactly(*source, block);
    for (const char byte : block) labels.push_back(ByteOf(byte));
  }
  ExpectEnd(*source);
  return labels;
}

}  // namespace lambdaml::data
