#include "lambdaml/data/images.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <memory>
#include <string>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/byte_source.h"

namespace lambdaml::data {
namespace {

constexpr std::string_view kSuffix = ".bin";
constexpr std::array<std::string_view, 2> kCompressedSuffixes = {".gz", ".zst"};
constexpr size_t kReadBytes = size_t{1} << 20;

[[noreturn]] void Fail(std::string_view name, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", name, what));
}

// A name without the suffix of its compression.
std::string_view WithoutCompression(std::string_view name) {
  for (const std::string_view suffix : kCompressedSuffixes) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return name;
}

base::Blob Decompress(base::Blob bytes, std::string_view name) {
  const std::unique_ptr<ByteSource> source = OpenMemorySource(std::move(bytes), std::string(name));
  base::Bytes plain;
  size_t size = 0;
  for (size_t more = 1; more > 0; size += more) {
    plain.resize(size + kReadBytes);
    more = source->Read({reinterpret_cast<char*>(plain.data()) + size, kReadBytes});
  }
  plain.resize(size);
  return base::Blob(std::move(plain));
}

void CheckLabels(const ImageSet& images, std::string_view name, int64_t n_classes) {
  for (int64_t row = 0; row < images.rows(); ++row) {
    if (images.label(row) < n_classes) continue;
    Fail(name, fmt::format("record {}: label {} is not below --n_classes {}", row + 1,
                           images.label(row), n_classes));
  }
}

}  // namespace

ImageSet::ImageSet(base::Blob records) : records_(std::move(records)) {
  LAMBDAML_CHECK(static_cast<int64_t>(records_.size()) % kImageRecordBytes == 0);
}

bool IsImageName(std::string_view name) { return WithoutCompression(name).ends_with(kSuffix); }

ImageSet DecodeImages(base::Blob bytes, std::string_view name, int64_t n_classes) {
  if (WithoutCompression(name) != name) bytes = Decompress(std::move(bytes), name);
  const auto size = static_cast<int64_t>(bytes.size());
  if (size == 0) Fail(name, "the file is empty, it has no images");
  if (size % kImageRecordBytes != 0) {
    Fail(name,
         fmt::format("{} bytes are {} records of {} bytes and {} more: not a file of CIFAR "
                     "images, or a truncated one",
                     size, size / kImageRecordBytes, kImageRecordBytes, size % kImageRecordBytes));
  }
  ImageSet images(std::move(bytes));
  CheckLabels(images, name, n_classes);
  return images;
}

ImageSet TakeImages(const ImageSet& images, std::span<const int64_t> rows) {
  base::Bytes records;
  records.reserve(rows.size() * kImageRecordBytes);
  for (const int64_t row : rows) {
    const base::ByteSpan record = images.records().span().subspan(
        static_cast<size_t>(row * kImageRecordBytes), kImageRecordBytes);
    records.insert(records.end(), record.begin(), record.end());
  }
  return ImageSet(base::Blob(std::move(records)));
}

ImageSet ConcatenateImages(std::span<const ImageSet> parts) {
  if (parts.size() == 1) return parts.front();
  size_t size = 0;
  for (const ImageSet& part : parts) size += part.records().size();
  base::Bytes records;
  records.reserve(size);
  for (const ImageSet& part : parts) {
    const base::ByteSpan more = part.records().span();
    records.insert(records.end(), more.begin(), more.end());
  }
  return ImageSet(base::Blob(std::move(records)));
}

LabelCounts CountImageLabels(const ImageSet& images) {
  std::array<int64_t, kImageClassesMax> rows = {};
  for (int64_t row = 0; row < images.rows(); ++row) {
    ++rows[static_cast<size_t>(images.label(row))];
  }
  LabelCounts counts;
  for (size_t label = 0; label < rows.size(); ++label) {
    if (rows[label] > 0) counts.push_back({static_cast<double>(label), rows[label]});
  }
  return counts;
}

Dataset ToDataset(const ImageSet& images) {
  DenseBuilder builder(kImagePixels);
  for (int64_t row = 0; row < images.rows(); ++row) {
    float* const values = builder.AppendRow(images.label(row));
    std::ranges::transform(images.pixels(row), values,
                           [](uint8_t pixel) { return static_cast<float>(pixel) / 255.0F; });
  }
  return std::move(builder).Finish();
}

}  // namespace lambdaml::data
