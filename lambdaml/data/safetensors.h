// The safetensors format, in which PyTorch and its relatives exchange weights: named arrays behind
// a JSON header, without code. github.com/huggingface/safetensors has the description.
//
//   file   = size header data
//   size   = uint64, little-endian: bytes of the header
//   header = a JSON object: name → {"dtype", "shape", "data_offsets": [begin, end)}, and perhaps
//            "__metadata__" → {text → text}; blanks may follow
//   data   = the arrays, little-endian and row-major, without gaps
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/base/bytes.h"

namespace lambdaml::data {

// Of the format's types those that networks here have; others are read over, as bytes.
enum class TensorType { kFloat32, kInt64, kOther };

struct Tensor {
  std::string name;
  TensorType type = TensorType::kFloat32;
  std::vector<int64_t> shape;  // empty: one number
  base::ByteSpan bytes;        // not aligned
};

struct TensorFile {
  std::vector<std::pair<std::string, std::string>> metadata;
  std::vector<Tensor> tensors;  // in the order of the header
  base::Blob storage;           // holds the tensors' bytes

  // nullptr if there is none.
  const Tensor* Find(std::string_view name) const;
  const std::string* FindMetadata(std::string_view key) const;
};

inline constexpr int64_t kTensorsMax = 100'000;
inline constexpr int64_t kTensorHeaderBytesMax = 100'000'000;  // as the reference reader has it
inline constexpr int64_t kTensorDimensionsMax = 16;

// Whether `start`, the first bytes of a file (16 are enough), may begin one.
bool LooksLikeSafetensors(base::ByteSpan start);

// Reads a file; tensors stay where they are in `bytes`. Errors, as "origin: what": kInvalidData for
// anything that breaks the format: sizes and offsets that do not fit, overlap or leave gaps, types
// that do not exist, names given twice, limits.
TensorFile ParseSafetensors(base::Blob bytes, std::string_view origin);

// Writes a file: int64 arrays first and the header padded, so that every array is aligned. Equal
// contents give equal bytes. `tensors` are of kFloat32 or kInt64; each name once.
base::Bytes FormatSafetensors(const std::vector<std::pair<std::string, std::string>>& metadata,
                              std::vector<Tensor> tensors);

}  // namespace lambdaml::data
