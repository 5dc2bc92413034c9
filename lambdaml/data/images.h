// Images in the binary format of CIFAR-10 (Krizhevsky 2009), and sets of them in memory.
//
//   file   = record{rows}
//   record = label pixels          label: one byte
//   pixels = red green blue        each 32·32 bytes, row by row from the top left
//
// The format has no magic number: a file is known by its name (IsImageName) and by its size, a
// whole number of records, and by labels below the number of classes.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/data/dataset.h"
#include "lambdaml/data/labels.h"

namespace lambdaml::data {

inline constexpr int64_t kImageChannels = 3;
inline constexpr int64_t kImageSide = 32;
inline constexpr int64_t kImagePlane = kImageSide * kImageSide;
inline constexpr int64_t kImagePixels = kImageChannels * kImagePlane;
inline constexpr int64_t kImageRecordBytes = 1 + kImagePixels;
inline constexpr int64_t kImageClassesMax = 256;  // a label is one byte
inline constexpr int64_t kCifarClasses = 10;

// Records, mapped or owned. Copying one copies no images. Threads: any.
class ImageSet {
 public:
  ImageSet() = default;
  // Invariant: a whole number of records. DecodeImages checks what comes from outside.
  explicit ImageSet(base::Blob records);

  int64_t rows() const { return static_cast<int64_t>(records_.size()) / kImageRecordBytes; }
  int32_t label(int64_t row) const { return Record(row)[0]; }
  std::span<const uint8_t, kImagePixels> pixels(int64_t row) const {
    return std::span<const uint8_t, kImagePixels>(Record(row) + 1, kImagePixels);
  }
  // The file that holds these images.
  const base::Blob& records() const { return records_; }

 private:
  const uint8_t* Record(int64_t row) const {
    return reinterpret_cast<const uint8_t*>(records_.data()) + row * kImageRecordBytes;
  }

  base::Blob records_;
};

// Whether a file of this name holds images: "….bin", "….bin.gz", "….bin.zst".
bool IsImageName(std::string_view name);

// A file's images; compressed if its name says so. Plain bytes stay where they are. Errors, naming
// the file and the record (from 1): kInvalidData for no record, a size that is not a whole number
// of records, a label of n_classes or above, bad compression.
ImageSet DecodeImages(base::Blob bytes, std::string_view name, int64_t n_classes);

// The images of these rows, in this order; of several sets, one after the other (of one set, that
// set itself).
ImageSet TakeImages(const ImageSet& images, std::span<const int64_t> rows);
ImageSet ConcatenateImages(std::span<const ImageSet> parts);

LabelCounts CountImageLabels(const ImageSet& images);

// As rows for models that know of no images: kImagePixels dense features, pixels divided by 255.
Dataset ToDataset(const ImageSet& images);

}  // namespace lambdaml::data
