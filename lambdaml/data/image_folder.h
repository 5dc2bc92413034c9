// Folders of images: CIFAR-10 as it is distributed, and the shards of a job.
//
//   as distributed   data_batch_{1..5}.bin, test_batch.bin
//   shards           training_{i}.bin from 0 on, test.bin (LambdaML's names), perhaps manifest.json
//   else             any *.bin, in the order of their names
//
// All may be compressed (.gz, .zst).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lambdaml/data/describe.h"
#include "lambdaml/data/images.h"
#include "lambdaml/data/manifest.h"
#include "lambdaml/data/shards.h"
#include "lambdaml/data/split.h"

namespace lambdaml::data {

inline constexpr std::string_view kTestImagesName = "test.bin";

// "training_{index}.bin".
std::string ImageShardName(int64_t index);

struct ImageFolder {
  std::shared_ptr<const Folder> folder;
  std::vector<std::string> names;    // of the training images; rank 0's first
  std::optional<std::string> test;   // name of the test images
  std::optional<Manifest> manifest;  // as in the folder's manifest.json

  int64_t shard_count() const { return static_cast<int64_t>(names.size()); }
};

// Looks through a folder's names; nothing if they are of other data. Errors: kNotFound for a
// missing folder, or naming a missing shard; kInvalidData for a bad manifest.
std::optional<ImageFolder> FindImages(std::shared_ptr<const Folder> folder);

// Errors: as DecodeImages; kCorrupt when a shard is not the one that the manifest describes.
ImageSet LoadImageShard(const ImageFolder& images, int64_t index, int64_t n_classes);
ImageSet LoadTrainingImages(const ImageFolder& images, int64_t n_classes);
std::optional<ImageSet> LoadTestImages(const ImageFolder& images, int64_t n_classes);

// Checks a shard's bytes against its entry and decodes them.
ImageSet DecodeShard(base::Blob bytes, const ShardEntry& entry, std::string_view origin,
                     int64_t n_classes);

// As the same images would be described as rows (values 0..1).
Description Describe(const ImageSet& images);

// Deals the rows to training_{i}.bin, and hands these, test.bin if there are test images, and last
// the manifest (of the training images) to `sink`. options.format is of no matter. Errors: as
// Split.
Manifest SplitImages(const ImageSet& images, const std::optional<ImageSet>& test,
                     const SplitOptions& options, const FileSink& sink);

}  // namespace lambdaml::data
