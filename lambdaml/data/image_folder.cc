#include "lambdaml/data/image_folder.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <iterator>
#include <map>
#include <string_view>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kShardPrefix = "training_";
constexpr std::string_view kBatchPrefix = "data_batch_";
constexpr std::string_view kTestBatchStem = "test_batch";
constexpr std::string_view kTestStem = "test";

// "training_3.bin.zst" gives "training_3".
std::string_view StemOf(std::string_view name) { return name.substr(0, name.rfind(".bin")); }

// The number behind the prefix; nothing if the stem is something else.
std::optional<int64_t> NumberOf(std::string_view stem, std::string_view prefix) {
  if (!stem.starts_with(prefix)) return std::nullopt;
  stem.remove_prefix(prefix.size());
  int64_t number = 0;
  const char* const end = stem.data() + stem.size();
  const auto [stop, error] = std::from_chars(stem.data(), end, number);
  const bool is_number = error == std::errc() && stop == end && number >= 0;
  if (!is_number || number >= kShardsMax || stem != std::to_string(number)) return std::nullopt;
  return number;
}

std::vector<std::string> ImageNames(std::vector<std::string> names) {
  std::erase_if(names,
                [](const std::string& name) { return !IsImageName(name) || StemOf(name).empty(); });
  std::ranges::sort(names);
  return names;
}

std::optional<std::string> FindTest(const std::vector<std::string>& names) {
  for (const std::string_view stem : {kTestStem, kTestBatchStem}) {
    const auto found = std::ranges::find(names, stem, StemOf);
    if (found != names.end()) return *found;
  }
  return std::nullopt;
}

// The files "{prefix}{number}.bin" by number.
std::map<int64_t, std::string> Numbered(const Folder& folder, const std::vector<std::string>& names,
                                        std::string_view prefix) {
  std::map<int64_t, std::string> numbered;
  for (const std::string& name : names) {
    const auto number = NumberOf(StemOf(name), prefix);
    if (!number) continue;
    const auto [other, is_new] = numbered.emplace(*number, name);
    if (!is_new) {
      throw Error(ErrorCode::kInvalidData,
                  fmt::format("{}: {} and {} would both be part {}", folder.name(), other->second,
                              name, *number));
    }
  }
  return numbered;
}

// Training files of a folder without a manifest; none if it holds no images.
std::vector<std::string> TrainingNames(const Folder& folder, const std::vector<std::string>& all) {
  std::vector<std::string> names;
  const auto shards = Numbered(folder, all, kShardPrefix);
  for (const auto& [number, name] : shards) {
    if (number != static_cast<int64_t>(names.size())) {
      throw Error(ErrorCode::kNotFound, fmt::format("{}: shard {} is missing", folder.name(),
                                                    ImageShardName(std::ssize(names))));
    }
    names.push_back(name);
  }
  if (!names.empty()) return names;
  for (const auto& [number, name] : Numbered(folder, all, kBatchPrefix)) names.push_back(name);
  if (!names.empty()) return names;
  for (const std::string& name : all) {
    if (StemOf(name) != kTestStem && StemOf(name) != kTestBatchStem) names.push_back(name);
  }
  return names;
}

std::string OriginOf(const ImageFolder& images, const std::string& name) {
  return fmt::format("{}/{}", images.folder->name(), name);
}

}  // namespace

std::string ImageShardName(int64_t index) { return fmt::format("{}{}.bin", kShardPrefix, index); }

std::optional<ImageFolder> FindImages(std::shared_ptr<const Folder> folder) {
  const std::vector<std::string> listed = folder->List();
  const std::vector<std::string> names = ImageNames(listed);
  if (names.empty()) return std::nullopt;
  ImageFolder images = {.folder = std::move(folder), .names = {}, .test = {}, .manifest = {}};
  images.test = FindTest(names);
  const std::string manifest_name(kManifestName);
  if (std::ranges::find(listed, manifest_name) == listed.end()) {
    images.names = TrainingNames(*images.folder, names);
  } else {
    images.manifest =
        Manifest::Parse(images.folder->Read(manifest_name).text(), OriginOf(images, manifest_name));
    for (const ShardEntry& shard : images.manifest->shards) {
      if (!IsImageName(shard.name)) return std::nullopt;
      if (!std::ranges::binary_search(names, shard.name)) {
        throw Error(ErrorCode::kNotFound,
                    fmt::format("{}: shard {} is missing", images.folder->name(), shard.name));
      }
      images.names.push_back(shard.name);
    }
  }
  if (images.names.empty()) return std::nullopt;
  return images;
}

ImageSet LoadImageShard(const ImageFolder& images, int64_t index, int64_t n_classes) {
  const std::string& name = images.names.at(static_cast<size_t>(index));
  base::Blob bytes = images.folder->Read(name);
  const std::string origin = OriginOf(images, name);
  if (!images.manifest) return DecodeImages(std::move(bytes), origin, n_classes);
  return DecodeShard(std::move(bytes), images.manifest->shards[static_cast<size_t>(index)], origin,
                     n_classes);
}

ImageSet LoadTrainingImages(const ImageFolder& images, int64_t n_classes) {
  std::vector<ImageSet> parts;
  for (int64_t i = 0; i < images.shard_count(); ++i) {
    parts.push_back(LoadImageShard(images, i, n_classes));
  }
  return ConcatenateImages(parts);
}

std::optional<ImageSet> LoadTestImages(const ImageFolder& images, int64_t n_classes) {
  if (!images.test) return std::nullopt;
  return DecodeImages(images.folder->Read(*images.test), OriginOf(images, *images.test), n_classes);
}

ImageSet DecodeShard(base::Blob bytes, const ShardEntry& entry, std::string_view origin,
                     int64_t n_classes) {
  VerifyShardBytes(entry, bytes.span(), origin);
  ImageSet images = DecodeImages(std::move(bytes), origin, n_classes);
  if (images.rows() == entry.rows) return images;
  throw Error(ErrorCode::kCorrupt,
              fmt::format("{}: {} rows instead of {}: not the shard that {} describes", origin,
                          images.rows(), entry.rows, kManifestName));
}

Description Describe(const ImageSet& images) {
  Description description;
  description.layout = Layout::kDense;
  description.rows = images.rows();
  description.n_features = kImagePixels;
  uint8_t least = images.rows() > 0 ? 255 : 0;
  uint8_t greatest = 0;
  for (int64_t row = 0; row < images.rows(); ++row) {
    for (const uint8_t pixel : images.pixels(row)) {
      description.nonzeros += pixel != 0 ? 1 : 0;
      least = std::min(least, pixel);
      greatest = std::max(greatest, pixel);
    }
  }
  const auto cells = static_cast<double>(images.rows() * kImagePixels);
  description.density = static_cast<double>(description.nonzeros) / cells;
  description.value_min = static_cast<float>(least) / 255.0F;
  description.value_max = static_cast<float>(greatest) / 255.0F;
  description.labels = CountImageLabels(images);
  return description;
}

Manifest SplitImages(const ImageSet& images, const std::optional<ImageSet>& test,
                     const SplitOptions& options, const FileSink& sink) {
  const RowDealer dealer(images.rows(), options);
  Manifest manifest;
  manifest.layout = Layout::kDense;
  for (int64_t i = 0; i < options.parts; ++i) {
    const ImageSet shard = TakeImages(images, dealer.RowsOf(i));
    const base::ByteSpan bytes = shard.records().span();
    std::string name = ImageShardName(i);
    sink(name, bytes);
    manifest.Add(MakeShardEntry(std::move(name), Describe(shard), bytes));
  }
  if (test) sink(kTestImagesName, test->records().span());
  sink(kManifestName, base::AsBytes(manifest.ToText()));
  return manifest;
}

}  // namespace lambdaml::data
