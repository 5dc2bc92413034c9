#include "lambdaml/data/shards.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <map>
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

void CheckPresent(const ShardFolder& folder) {
  for (const std::string& name : folder.names) {
    if (!base::FileExists(fmt::format("{}/{}", folder.path, name))) {
      throw Error(ErrorCode::kNotFound, fmt::format("{}: shard {} is missing", folder.path, name));
    }
  }
}

// The names {i}_{n}, found by their n.
std::vector<std::string> FindLambdamlShards(const std::string& path) {
  std::error_code error;
  std::optional<int64_t> count;
  for (auto entry = std::filesystem::directory_iterator(path, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const auto id = ParseShardName(name);
    if (!id) continue;
    if (count.has_value() && *count != id->count) {
      throw Error(ErrorCode::kInvalidData,
                  fmt::format("{}: holds shards of {} and of {}: name one data set's folder", path,
                              std::min(*count, id->count), std::max(*count, id->count)));
    }
    count = id->count;
  }
  if (error) base::ThrowErrno("list", path, error.value());
  if (!count.has_value()) {
    throw Error(ErrorCode::kInvalidData,
                fmt::format("{}: holds neither {} nor shards named like 0_4", path, kManifestName));
  }
  std::vector<std::string> names;
  for (int64_t i = 0; i < *count; ++i) names.push_back(ShardName(i, *count));
  return names;
}

}  // namespace

ShardFolder ListShards(const std::string& path) {
  ShardFolder folder;
  folder.path = path;
  const std::string manifest_path = fmt::format("{}/{}", path, kManifestName);
  if (base::FileExists(manifest_path)) {
    folder.manifest = Manifest::Parse(base::MapFile(manifest_path).text(), manifest_path);
    for (const ShardEntry& shard : folder.manifest->shards) folder.names.push_back(shard.name);
  } else {
    folder.names = FindLambdamlShards(path);
  }
  CheckPresent(folder);
  return folder;
}

Dataset LoadShard(const ShardFolder& folder, int64_t index, const LoadOptions& options) {
  if (index < 0 || index >= folder.shard_count()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: there is no shard {} among {}",
                                                         folder.path, index, folder.shard_count()));
  }
  const std::string path =
      fmt::format("{}/{}", folder.path, folder.names[static_cast<size_t>(index)]);
  if (!folder.manifest.has_value()) return LoadFile(path, options);
  const ShardEntry& entry = folder.manifest->shards[static_cast<size_t>(index)];
  VerifyShardBytes(entry, base::MapFile(path).span(), path);
  LoadOptions exact = options;
  exact.index_base = 1;  // of every shard that Split writes, whatever the original's was
  if (!exact.n_features.has_value()) exact.n_features = folder.manifest->n_features;
  if (exact.layout == Layout::kAuto) exact.layout = folder.manifest->layout;
  Dataset shard = LoadFile(path, exact);
  VerifyShardContents(entry, shard, path);
  return shard;
}

Dataset LoadDataset(const std::string& path, const LoadOptions& options) {
  std::error_code ignored;  // a path that cannot be looked at fails with its reason when opened
  if (!std::filesystem::is_directory(path, ignored)) return LoadFile(path, options);
  const ShardFolder folder = ListShards(path);
  std::vector<Dataset> shards;
  for (int64_t i = 0; i < folder.shard_count(); ++i) {
    shards.push_back(LoadShard(folder, i, options));
  }
  return Concatenate(shards);
}

}  // namespace lambdaml::data
