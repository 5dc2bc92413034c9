// A folder of shards: found, checked and loaded, one by one or as a whole.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/load.h"
#include "lambdaml/data/manifest.h"

namespace lambdaml::data {

// The files of one folder, wherever that is. Threads: any, at once.
class Folder {
 public:
  virtual ~Folder() = default;

  // As errors name it: a path, a URL.
  virtual const std::string& name() const = 0;
  // The names of its files, in any order. Errors: kNotFound if there is no such folder.
  virtual std::vector<std::string> List() const = 0;
  // Errors: kNotFound.
  virtual base::Blob Read(const std::string& file) const = 0;
};

std::shared_ptr<const Folder> OpenLocalFolder(const std::string& path);

struct ShardFolder {
  std::shared_ptr<const Folder> folder;
  std::vector<std::string> names;    // rank 0 first
  std::optional<Manifest> manifest;  // as in the folder's manifest.json

  int64_t shard_count() const { return static_cast<int64_t>(names.size()); }
};

// Lists the shards of a folder: those of its manifest.json, or else its files "{i}_{n}" of one n,
// as LambdaML writes them. Errors: kNotFound for a missing folder, or naming the missing shard;
// kInvalidData for a bad manifest, no shards, or shards of different n.
ShardFolder ListShards(std::shared_ptr<const Folder> folder);

// Loads one shard; with a manifest its bytes are checked against it, its width and layout are the
// data set's, so that all workers' agree, and its index base is the one that Split writes. Errors:
// as LoadFile; kCorrupt when the shard is not the one described.
Dataset LoadShard(const ShardFolder& shards, int64_t index, const LoadOptions& options);

// Loads all shards one after the other, rank 0 first.
Dataset LoadShards(const ShardFolder& shards, const LoadOptions& options);

// Loads a file of this machine, or all shards of a folder.
Dataset LoadDataset(const std::string& path, const LoadOptions& options);

}  // namespace lambdaml::data
