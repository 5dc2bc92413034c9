#include "lambdaml/data/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <ranges>
#include <span>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::data {
namespace {

using base::Json;

static_assert(std::endian::native == std::endian::little, "the format's numbers are little-endian");

constexpr std::string_view kMetadata = "__metadata__";
constexpr size_t kSizeBytes = sizeof(uint64_t);
constexpr size_t kAlignment = 8;
constexpr int64_t kElementsMax = int64_t{1} << 48;

struct TypeRow {
  std::string_view name;
  int64_t bytes;
};
constexpr std::array<TypeRow, 15> kTypes = {{{"F32", 4},
                                             {"I64", 8},
                                             {"BOOL", 1},
                                             {"U8", 1},
                                             {"I8", 1},
                                             {"F8_E5M2", 1},
                                             {"F8_E4M3", 1},
                                             {"I16", 2},
                                             {"U16", 2},
                                             {"F16", 2},
                                             {"BF16", 2},
                                             {"I32", 4},
                                             {"U32", 4},
                                             {"F64", 8},
                                             {"U64", 8}}};

TensorType TypeOf(std::string_view name) {
  if (name == "F32") return TensorType::kFloat32;
  return name == "I64" ? TensorType::kInt64 : TensorType::kOther;
}

class Reader {
 public:
  Reader(base::Blob bytes, std::string_view origin) : origin_(origin) {
    file_.storage = std::move(bytes);
  }

  TensorFile Read() && {
    const base::ByteSpan all = file_.storage.span();
    uint64_t header_bytes = 0;
    if (all.size() < kSizeBytes) Fail("not a safetensors file: it has no header");
    std::memcpy(&header_bytes, all.data(), kSizeBytes);
    if (header_bytes > kTensorHeaderBytesMax) {
      Fail(fmt::format("not a safetensors file: a header of {} bytes", header_bytes));
    }
    if (header_bytes > all.size() - kSizeBytes) Fail("truncated within its header");
    const base::ByteSpan header = all.subspan(kSizeBytes, header_bytes);
    data_ = all.subspan(kSizeBytes + header_bytes);
    if (!base::AsText(header).starts_with('{')) Fail("not a safetensors file: no JSON header");
    ReadHeader(Json::Parse(base::AsText(header), origin_));
    CheckCover();
    return std::move(file_);
  }

 private:
  [[noreturn]] void Fail(std::string_view what) const {
    throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}: {}", origin_, what));
  }

  // Json's own errors do not know the file.
  void ReadHeader(const Json& header) {
    std::string_view name;
    try {
      for (const auto& [key, value] : header.AsObject()) {
        name = key;
        if (key == kMetadata) {
          ReadMetadata(value);
        } else {
          ReadTensor(key, value);
        }
      }
    } catch (const base::Error& error) {
      if (error.message().starts_with(origin_)) throw;
      Fail(fmt::format("{}: {}", name, error.message()));
    }
  }

  void ReadMetadata(const Json& json) {
    for (const auto& [key, value] : json.AsObject()) {
      file_.metadata.emplace_back(key, value.AsString());
    }
  }

  void ReadTensor(const std::string& name, const Json& json) {
    if (static_cast<int64_t>(file_.tensors.size()) == kTensorsMax) Fail("too many tensors");
    if (json.AsObject().size() != 3) {
      Fail(fmt::format("{}: must have dtype, shape and data_offsets, and nothing else", name));
    }
    const std::string& type_name = json.At("dtype").AsString();
    const auto type = std::ranges::find(kTypes, type_name, &TypeRow::name);
    if (type == kTypes.end()) Fail(fmt::format("{}: unknown dtype {}", name, type_name));
    Tensor tensor = {.name = name, .type = TypeOf(type_name), .shape = {}, .bytes = {}};
    const int64_t size = ReadShape(json.At("shape"), tensor) * type->bytes;
    const Json::Array& offsets = json.At("data_offsets").AsArray();
    if (offsets.size() != 2) Fail(fmt::format("{}: data_offsets must be two numbers", name));
    const int64_t begin = offsets[0].AsInteger();
    const int64_t end = offsets[1].AsInteger();
    if (begin < 0 || end < begin || end > static_cast<int64_t>(data_.size())) {
      Fail(fmt::format("{}: bytes {} to {} are not in the file's {}", name, begin, end,
                       data_.size()));
    }
    if (end - begin != size) {
      Fail(fmt::format("{}: {} bytes instead of the {} of its shape", name, end - begin, size));
    }
    tensor.bytes = data_.subspan(static_cast<size_t>(begin), static_cast<size_t>(size));
    file_.tensors.push_back(std::move(tensor));
  }

  // Returns the number of elements.
  int64_t ReadShape(const Json& json, Tensor& tensor) const {
    if (static_cast<int64_t>(json.AsArray().size()) > kTensorDimensionsMax) {
      Fail(fmt::format("{}: {} dimensions", tensor.name, json.AsArray().size()));
    }
    int64_t elements = 1;
    for (const Json& dimension : json.AsArray()) {
      const int64_t size = dimension.AsInteger();
      if (size < 0 || (size > 0 && elements > kElementsMax / size)) {
        Fail(fmt::format("{}: its shape is not one", tensor.name));
      }
      elements *= size;
      tensor.shape.push_back(size);
    }
    return elements;
  }

  // The arrays must be the data: nothing hidden between them or behind, nothing shared.
  void CheckCover() const {
    std::vector<const Tensor*> ordered;
    for (const Tensor& tensor : file_.tensors) ordered.push_back(&tensor);
    std::ranges::sort(ordered, [](const Tensor* a, const Tensor* b) {
      return std::pair(a->bytes.data(), a->bytes.size()) <
             std::pair(b->bytes.data(), b->bytes.size());
    });
    const std::byte* at = data_.data();
    for (const Tensor* tensor : ordered) {
      if (tensor->bytes.data() != at) {
        Fail(fmt::format("{}: {} the bytes before it", tensor->name,
                         tensor->bytes.data() < at ? "shares" : "leaves out"));
      }
      at += tensor->bytes.size();
    }
    if (at != data_.data() + data_.size()) Fail("bytes behind the last tensor");
  }

  std::string_view origin_;
  TensorFile file_;
  base::ByteSpan data_;
};

std::string FormatHeader(const std::vector<std::pair<std::string, std::string>>& metadata,
                         const std::vector<Tensor>& tensors) {
  Json header = Json::EmptyObject();
  if (!metadata.empty()) {
    Json texts = Json::EmptyObject();
    for (const auto& [key, value] : metadata) texts.Set(key, value);
    header.Set(kMetadata, std::move(texts));
  }
  uint64_t offset = 0;
  Json::Object members = header.AsObject();
  for (const Tensor& tensor : tensors) {
    LAMBDAML_CHECK(tensor.type != TensorType::kOther);
    Json shape = Json::EmptyArray();
    for (const int64_t size : tensor.shape) shape.Append(size);
    const uint64_t end = offset + tensor.bytes.size();
    members.emplace_back(tensor.name,
                         Json::Object{{"dtype", tensor.type == TensorType::kInt64 ? "I64" : "F32"},
                                      {"shape", std::move(shape)},
                                      {"data_offsets", Json::Array{Json(offset), Json(end)}}});
    offset = end;
  }
  std::string text = Json(std::move(members)).Dump();
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  return text;
}

}  // namespace

const Tensor* TensorFile::Find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &Tensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

const std::string* TensorFile::FindMetadata(std::string_view key) const {
  for (const auto& [name, value] : metadata) {
    if (name == key) return &value;
  }
  return nullptr;
}

bool LooksLikeSafetensors(base::ByteSpan start) {
  if (start.size() <= kSizeBytes) return false;
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, start.data(), kSizeBytes);
  return header_bytes <= kTensorHeaderBytesMax && start[kSizeBytes] == std::byte{'{'};
}

TensorFile ParseSafetensors(base::Blob bytes, std::string_view origin) {
  return Reader(std::move(bytes), origin).Read();
}

base::Bytes FormatSafetensors(const std::vector<std::pair<std::string, std::string>>& metadata,
                              std::vector<Tensor> tensors) {
  std::stable_partition(tensors.begin(), tensors.end(),
                        [](const Tensor& tensor) { return tensor.type == TensorType::kInt64; });
  const std::string header = FormatHeader(metadata, tensors);
  const uint64_t header_bytes = header.size();
  size_t size = kSizeBytes + header.size();
  for (const Tensor& tensor : tensors) size += tensor.bytes.size();
  base::Bytes file(size);
  std::byte* target = file.data();
  const auto append = [&](base::ByteSpan piece) { target = std::ranges::copy(piece, target).out; };
  append(std::as_bytes(std::span(&header_bytes, 1)));
  append(base::AsBytes(header));
  for (const Tensor& tensor : tensors) append(tensor.bytes);
  return file;
}

}  // namespace lambdaml::data
