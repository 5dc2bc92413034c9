#include "lambdaml/data/manifest.h"

#include <cmath>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/data/builder.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;

constexpr std::string_view kFormatName = "lambdaml-shards";

Json ToJson(const ShardEntry& shard) {
  return Json::Object{{"name", shard.name},
                      {"rows", shard.rows},
                      {"n_features", shard.n_features},
                      {"nonzeros", shard.nonzeros},
                      {"labels", data::ToJson(shard.labels)},
                      {"size_bytes", shard.size_bytes},
                      {"checksum", shard.checksum}};
}

class Parser {
 public:
  explicit Parser(std::string_view origin) : origin_(origin) {}

  Manifest Parse(std::string_view text) {
    const Json json = Json::Parse(text, origin_);
    CheckMembers(json, {"format", "version", "layout", "rows", "n_features", "nonzeros", "labels",
                        "shards"});
    if (json.At("format").AsString() != kFormatName) Fail("the format is not lambdaml-shards");
    const int64_t version = json.At("version").AsInteger();
    if (version != kManifestVersion) {
      Fail(fmt::format("version {} is unknown, this program knows {}", version, kManifestVersion));
    }
    const auto layout = LayoutFromName(json.At("layout").AsString());
    if (!layout || *layout == Layout::kAuto) Fail("the layout is neither dense nor sparse");
    Manifest manifest;
    manifest.layout = *layout;
    for (const Json& shard : json.At("shards").AsArray()) manifest.Add(ParseShard(shard));
    const auto count = static_cast<int64_t>(manifest.shards.size());
    if (count < 1 || count > kShardsMax) Fail(fmt::format("{} shards", count));
    CheckTotals(json, manifest);
    return manifest;
  }

 private:
  [[noreturn]] void Fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: {}", origin_, what));
  }

  void CheckMembers(const Json& json, std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : json.AsObject()) {
      bool found = false;
      for (const std::string_view name : known) found = found || name == key;
      if (!found) Fail(fmt::format("unknown member \"{}\"", key));
    }
  }

  int64_t Count(const Json& json, std::string_view key, int64_t min, int64_t max) const {
    const int64_t value = json.At(key).AsInteger();
    if (value < min || value > max) Fail(fmt::format("{} is {}", key, value));
    return value;
  }

  ShardEntry ParseShard(const Json& json) const {
    CheckMembers(json,
                 {"name", "rows", "n_features", "nonzeros", "labels", "size_bytes", "checksum"});
    constexpr int64_t kCountMax = int64_t{1} << 40;  // sums of kShardsMax of them cannot overflow
    ShardEntry shard;
    shard.name = json.At("name").AsString();
    // A shard is a file beside the manifest; no name leads elsewhere.
    if (shard.name.empty() || shard.name.front() == '.' || shard.name.size() > 255 ||
        shard.name.find('/') != std::string::npos) {
      Fail(fmt::format("\"{}\" is no name of a shard", shard.name));
    }
    shard.rows = Count(json, "rows", 1, kCountMax);
    shard.n_features = Count(json, "n_features", 1, kFeaturesMax);
    shard.nonzeros = Count(json, "nonzeros", 0, kCountMax);
    shard.size_bytes = Count(json, "size_bytes", 1, kCountMax);
    shard.checksum = json.At("checksum").AsString();
    shard.labels = ParseLabels(json.At("labels"));
    if (shard.labels.has_value()) {
      int64_t rows = 0;
      for (const LabelCount& count : *shard.labels) rows += count.rows;
      if (rows != shard.rows) Fail(fmt::format("{}: labels do not add up to rows", shard.name));
    }
    return shard;
  }

  std::optional<LabelCounts> ParseLabels(const Json& json) const {
    if (json.is_null()) return std::nullopt;
    LabelCounts labels;
    if (json.AsArray().size() > kClassesMax) Fail("too many labels");
    for (const Json& count : json.AsArray()) {
      CheckMembers(count, {"label", "rows"});
      const double label = count.At("label").AsNumber();
      const bool ascending = labels.empty() || labels.back().label < label;
      if (!std::isfinite(label) || !ascending) Fail("the labels are not finite and ascending");
      labels.push_back({label, Count(count, "rows", 1, int64_t{1} << 40)});
    }
    return labels;
  }

  void CheckTotals(const Json& json, const Manifest& sums) const {
    const bool agree = json.At("rows").AsInteger() == sums.rows &&
                       json.At("n_features").AsInteger() == sums.n_features &&
                       json.At("nonzeros").AsInteger() == sums.nonzeros &&
                       ParseLabels(json.At("labels")) == sums.labels;
    if (!agree) Fail("the totals are not those of the shards");
  }

  std::string_view origin_;
};

[[noreturn]] void ThrowMismatch(std::string_view origin, std::string_view what) {
  throw Error(ErrorCode::kCorrupt,
              fmt::format("{}: {}: not the shard that {} describes", origin, what, kManifestName));
}

}  // namespace

void Manifest::Add(ShardEntry shard) {
  labels = shards.empty() ? shard.labels : MergeCounts(labels, shard.labels);
  rows += shard.rows;
  nonzeros += shard.nonzeros;
  n_features = std::max(n_features, shard.n_features);
  shards.push_back(std::move(shard));
}

std::string Manifest::ToText() const {
  Json list = Json::EmptyArray();
  for (const ShardEntry& shard : shards) list.Append(ToJson(shard));
  return Json(Json::Object{{"format", kFormatName},
                           {"version", kManifestVersion},
                           {"layout", LayoutName(layout)},
                           {"rows", rows},
                           {"n_features", n_features},
                           {"nonzeros", nonzeros},
                           {"labels", data::ToJson(labels)},
                           {"shards", std::move(list)}})
      .DumpPretty();
}

Manifest Manifest::Parse(std::string_view text, std::string_view origin) {
  try {
    return Parser(origin).Parse(text);
  } catch (const Error& error) {
    // What Json says of a missing or wrongly typed member does not know the file.
    if (error.message().starts_with(origin)) throw;
    throw Error(error.code(), fmt::format("{}: {}", origin, error.message()));
  }
}

ShardEntry MakeShardEntry(std::string name, const Description& contents, base::ByteSpan bytes) {
  return {.name = std::move(name),
          .rows = contents.rows,
          .n_features = contents.n_features,
          .nonzeros = contents.nonzeros,
          .labels = contents.labels,
          .size_bytes = static_cast<int64_t>(bytes.size()),
          .checksum = base::ChecksumHex(base::Checksum64(bytes))};
}

std::string ShardName(int64_t index, int64_t count) { return fmt::format("{}_{}", index, count); }

void VerifyShardBytes(const ShardEntry& entry, base::ByteSpan bytes, std::string_view origin) {
  if (static_cast<int64_t>(bytes.size()) != entry.size_bytes) {
    ThrowMismatch(origin, fmt::format("{} bytes instead of {}", bytes.size(), entry.size_bytes));
  }
  const std::string checksum = base::ChecksumHex(base::Checksum64(bytes));
  if (checksum != entry.checksum) {
    ThrowMismatch(origin, fmt::format("checksum {} instead of {}", checksum, entry.checksum));
  }
}

void VerifyShardContents(const ShardEntry& entry, const Dataset& shard, std::string_view origin) {
  if (shard.rows() != entry.rows) {
    ThrowMismatch(origin, fmt::format("{} rows instead of {}", shard.rows(), entry.rows));
  }
}

}  // namespace lambdaml::data
