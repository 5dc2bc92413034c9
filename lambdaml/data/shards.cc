#include "lambdaml/data/shards.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/select.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

struct ShardId {
  int64_t index;
  int64_t count;
};

std::optional<int64_t> ParseCount(std::string_view digits) {
  int64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value);
  if (error != std::errc() || stop != end || value > kShardsMax) return std::nullopt;
  return value;
}

// "{index}_{count}", spelt as ShardName does it.
std::optional<ShardId> ParseShardName(std::string_view name) {
  const size_t separator = name.find('_');
  if (separator == std::string_view::npos) return std::nullopt;
  const auto index = ParseCount(name.substr(0, separator));
  const auto count = ParseCount(name.substr(separator + 1));
  if (!index || !count || *index >= *count || ShardName(*index, *count) != name) {
    return std::nullopt;
  }
  return ShardId{*index, *count};
}

void CheckPresent(const ShardFolder& shards, const std::set<std::string>& files) {
  for (const std::string& name : shards.names) {
    if (files.contains(name)) continue;
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: shard {} is missing", shards.folder->name(), name));
  }
}

// The names {i}_{n}, found by their n.
std::vector<std::string> FindLambdamlShards(const std::string& folder,
                                            const std::set<std::string>& files) {
  std::optional<int64_t> count;
  for (const std::string& name : files) {
    const auto id = ParseShardName(name);
    if (!id) continue;
    if (count.has_value() && *count != id->count) {
      throw Error(ErrorCode::kInvalidData,
                  fmt::format("{}: holds shards of {} and of {}: name one data set's folder",
                              folder, std::min(*count, id->count), std::max(*count, id->count)));
    }
    count = id->count;
  }
  if (!count.has_value()) {
    throw Error(
        ErrorCode::kInvalidData,
        fmt::format("{}: holds neither {} nor shards named like 0_4", folder, kManifestName));
  }
  std::vector<std::string> names;
  for (int64_t i = 0; i < *count; ++i) names.push_back(ShardName(i, *count));
  return names;
}

class LocalFolder final : public Folder {
 public:
  explicit LocalFolder(std::string path) : path_(std::move(path)) {}

  const std::string& name() const override { return path_; }

  std::vector<std::string> List() const override {
    std::vector<std::string> names;
    std::error_code error;
    for (auto entry = std::filesystem::directory_iterator(path_, error);
         !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      names.push_back(entry->path().filename().string());
    }
    if (error) base::ThrowErrno("list", path_, error.value());
    return names;
  }

  base::Blob Read(const std::string& file) const override {
    return base::MapFile(fmt::format("{}/{}", path_, file), /*populate=*/true);
  }

 private:
  const std::string path_;
};

}  // namespace

std::shared_ptr<const Folder> OpenLocalFolder(const std::string& path) {
  return std::make_shared<LocalFolder>(path);
}

ShardFolder ListShards(std::shared_ptr<const Folder> folder) {
  ShardFolder shards;
  shards.folder = std::move(folder);
  const std::string& name = shards.folder->name();
  const std::vector<std::string> listed = shards.folder->List();
  const std::set<std::string> files(listed.begin(), listed.end());
  const std::string manifest_name(kManifestName);
  if (files.contains(manifest_name)) {
    shards.manifest = Manifest::Parse(shards.folder->Read(manifest_name).text(),
                                      fmt::format("{}/{}", name, manifest_name));
    for (const ShardEntry& shard : shards.manifest->shards) shards.names.push_back(shard.name);
  } else {
    shards.names = FindLambdamlShards(name, files);
  }
  CheckPresent(shards, files);
  return shards;
}

Dataset LoadShard(const ShardFolder& shards, int64_t index, const LoadOptions& options) {
  const std::string& folder = shards.folder->name();
  if (index < 0 || index >= shards.shard_count()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: there is no shard {} among {}",
                                                         folder, index, shards.shard_count()));
  }
  const std::string& name = shards.names[static_cast<size_t>(index)];
  const std::string origin = fmt::format("{}/{}", folder, name);
  base::Blob bytes = shards.folder->Read(name);
  if (!shards.manifest.has_value()) return LoadBytes(std::move(bytes), origin, options);
  const ShardEntry& entry = shards.manifest->shards[static_cast<size_t>(index)];
  VerifyShardBytes(entry, bytes.span(), origin);
  LoadOptions exact = options;
  exact.index_base = 1;  // of every shard that Split writes, whatever the original's was
  if (!exact.n_features.has_value()) exact.n_features = shards.manifest->n_features;
  if (exact.layout == Layout::kAuto) exact.layout = shards.manifest->layout;
  Dataset shard = LoadBytes(std::move(bytes), origin, exact);
  VerifyShardContents(entry, shard, origin);
  return shard;
}

Dataset LoadShards(const ShardFolder& shards, const LoadOptions& options) {
  std::vector<Dataset> parts;
  for (int64_t i = 0; i < shards.shard_count(); ++i) {
    parts.push_back(LoadShard(shards, i, options));
  }
  return Concatenate(parts);
}

Dataset LoadDataset(const std::string& path, const LoadOptions& options) {
  std::error_code ignored;  // a path that cannot be looked at fails with its reason when opened
  if (!std::filesystem::is_directory(path, ignored)) return LoadFile(path, options);
  return LoadShards(ListShards(OpenLocalFolder(path)), options);
}

}  // namespace lambdaml::data
