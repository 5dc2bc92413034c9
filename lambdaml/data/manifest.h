// The manifest of a sharded data set: manifest.json beside the shards. docs/formats.md has the
// members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/describe.h"

namespace lambdaml::data {

inline constexpr std::string_view kManifestName = "manifest.json";
inline constexpr int64_t kManifestVersion = 1;
inline constexpr int64_t kShardsMax = 100'000;

struct ShardEntry {
  std::string name;
  int64_t rows = 0;
  int64_t n_features = 0;
  int64_t nonzeros = 0;
  std::optional<LabelCounts> labels = std::nullopt;
  int64_t size_bytes = 0;
  std::string checksum = {};  // base::ChecksumHex of base::Checksum64 of its bytes
};

struct Manifest {
  Layout layout = Layout::kDense;  // that the shards' rows have once loaded
  int64_t rows = 0;
  int64_t n_features = 0;
  int64_t nonzeros = 0;
  std::optional<LabelCounts> labels = std::nullopt;
  std::vector<ShardEntry> shards;  // rank 0 first

  // Adds a shard and its rows to the totals.
  void Add(ShardEntry shard);

  std::string ToText() const;

  // Parses and checks that the totals are those of the shards. `origin` names the text in errors:
  // kInvalidData.
  static Manifest Parse(std::string_view text, std::string_view origin);
};

// The entry for a shard with these contents and encoded bytes.
ShardEntry MakeShardEntry(std::string name, const Description& contents, base::ByteSpan bytes);

// LambdaML's name of shard `index` of `count`: "{index}_{count}".
std::string ShardName(int64_t index, int64_t count);

// Errors, naming `origin`: kCorrupt when the bytes are not those the manifest describes.
void VerifyShardBytes(const ShardEntry& entry, base::ByteSpan bytes, std::string_view origin);

// The same for a shard's contents once loaded.
void VerifyShardContents(const ShardEntry& entry, const Dataset& shard, std::string_view origin);

}  // namespace lambdaml::data
