#include "lambdaml/data/npz.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/data/npy.h"
#include "lambdaml/data/zip.h"

namespace lambdaml::data {
namespace {

using base::ByteSpan;
using base::Error;
using base::ErrorCode;

constexpr std::string_view kZipStart = "PK\x03\x04";
constexpr std::string_view kCsr = "csr";

template <typename T>
constexpr std::string_view kDtype = "";
template <>
constexpr std::string_view kDtype<float> = "<f4";
template <>
constexpr std::string_view kDtype<double> = "<f8";
template <>
constexpr std::string_view kDtype<int32_t> = "<i4";
template <>
constexpr std::string_view kDtype<int64_t> = "<i8";

class Encoder {
 public:
  explicit Encoder(const ByteSink& sink) : sink_(sink) {}

  template <typename T>
  void Add(std::string_view name, std::span<const T> elements, const std::vector<int64_t>& shape) {
    AddBytes(name, NpyHeader(kDtype<T>, shape), std::as_bytes(elements));
  }
  void AddBytes(std::string_view name, const std::string& npy_header, ByteSpan elements) {
    const ByteSpan header = base::AsBytes(npy_header);
    const uint32_t crc32 = Crc32(Crc32(0, header), elements);
    sink_(base::AsBytes(
        zip_.BeginMember(fmt::format("{}.npy", name), header.size() + elements.size(), crc32)));
    sink_(header);
    sink_(elements);
  }
  void Finish() { sink_(base::AsBytes(zip_.Finish())); }

 private:
  const ByteSink& sink_;
  ZipWriter zip_;
};

// Vectors that conversions filled, and the bytes that the other arrays lie in.
struct Storage {
  base::Blob bytes;
  std::vector<float> values;
  std::vector<int32_t> columns;
  std::vector<int64_t> row_offsets;
  std::vector<double> labels;
};

// The elements of type From as a vector of To; nothing if one does not fit.
template <typename From, typename To>
bool ConvertElements(ByteSpan elements, std::vector<To>* converted) {
  const size_t count = elements.size() / sizeof(From);
  converted->resize(count);
  bool fits = true;
  for (size_t i = 0; i < count; ++i) {
    From element;
    std::memcpy(&element, elements.data() + i * sizeof(From), sizeof element);
    if constexpr (std::is_integral_v<To>) fits = fits && std::in_range<To>(element);
    (*converted)[i] = static_cast<To>(element);
  }
  return fits;
}

// Whether all of `values` are finite: no exponent has all bits set.
template <typename T, typename Bits>
bool AllFinite(std::span<const T> values) {
  constexpr Bits kExponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  Bits bad = 0;
  for (const T value : values) {
    bad |= static_cast<Bits>((std::bit_cast<Bits>(value) & kExponent) == kExponent ? 1 : 0);
  }
  return bad == 0;
}

class Decoder {
 public:
  Decoder(base::Blob bytes, std::string_view origin)
      : origin_(origin), storage_(std::make_shared<Storage>()) {
    storage_->bytes = std::move(bytes);
    members_ = ReadZip(storage_->bytes.span(), origin_);
    for (const ZipMember& member : members_) {
      if (Crc32(0, member.bytes) != member.crc32) {
        throw Error(ErrorCode::kCorrupt,
                    fmt::format("{}: {}: the checksum is wrong, the file is damaged", origin_,
                                member.name));
      }
    }
  }

  Dataset Decode() {
    const bool dense = Find("X") != nullptr;
    Dataset dataset;
    if (dense) {
      dataset.features = DecodeDense();
    } else if (Find("indptr") != nullptr) {
      dataset.features = DecodeSparse();
    } else {
      Fail("", "holds neither X nor a CSR matrix (data, indices, indptr, shape, format)");
    }
    dataset.labels = DecodeLabels(dataset.rows());
    dataset.storage = storage_;
    return dataset;
  }

 private:
  [[noreturn]] void Fail(std::string_view member, std::string_view what) const {
    const std::string_view separator = member.empty() ? "" : ": ";
    throw Error(ErrorCode::kInvalidData,
                fmt::format("{}: {}{}{}", origin_, member, separator, what));
  }

  const ZipMember* Find(std::string_view name) const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const ZipMember& m) {
      return m.name.size() == name.size() + 4 && m.name.starts_with(name) &&
             m.name.ends_with(".npy");
    });
    return found == members_.end() ? nullptr : &*found;
  }

  NpyArray Array(std::string_view name, size_t dimensions) const {
    const ZipMember* member = Find(name);
    if (member == nullptr) Fail(name, "is missing");
    NpyArray array = ParseNpy(member->bytes, fmt::format("{}: {}", origin_, name));
    if (array.shape.size() != dimensions) {
      Fail(name, fmt::format("has {} dimensions, not {}", array.shape.size(), dimensions));
    }
    return array;
  }

  // The elements as they are in the file if type and alignment allow, else converted.
  template <typename T>
  std::span<const T> Elements(std::string_view name, const NpyArray& array,
                              std::vector<T>* converted) const {
    const auto address = reinterpret_cast<uintptr_t>(array.elements.data());
    if (array.dtype == kDtype<T> && address % alignof(T) == 0) {
      return {reinterpret_cast<const T*>(array.elements.data()),
              static_cast<size_t>(array.element_count())};
    }
    constexpr bool kMayBeFloat = std::is_floating_point_v<T>;
    bool fits = true;
    if (array.dtype == "<i4") {
      fits = ConvertElements<int32_t>(array.elements, converted);
    } else if (array.dtype == "<i8") {
      fits = ConvertElements<int64_t>(array.elements, converted);
    } else if (kMayBeFloat && array.dtype == "<f4") {
      if constexpr (kMayBeFloat) fits = ConvertElements<float>(array.elements, converted);
    } else if (kMayBeFloat && array.dtype == "<f8") {
      if constexpr (kMayBeFloat) fits = ConvertElements<double>(array.elements, converted);
    } else {
      Fail(name, fmt::format("elements of type {} are not supported, only {}<i4, <i8", array.dtype,
                             kMayBeFloat ? "<f4, <f8, " : ""));
    }
    if (!fits) Fail(name, "an element is beyond 32 bits");
    return *converted;
  }

  std::span<const float> Values(std::string_view name, const NpyArray& array) {
    const auto values = Elements<float>(name, array, &storage_->values);
    if (!AllFinite<float, uint32_t>(values)) Fail(name, "an element is not a finite 32-bit float");
    return values;
  }

  DenseRows DecodeDense() {
    const NpyArray array = Array("X", 2);
    CheckShape("X", array.shape[0], array.shape[1]);
    DenseRows dense = {array.shape[0], array.shape[1], Values("X", array)};
    if (array.fortran_order) {
      std::vector<float> by_row(dense.values.size());
      const auto rows = static_cast<size_t>(dense.rows);
      const auto columns = static_cast<size_t>(dense.n_features);
      for (size_t r = 0; r < rows; ++r) {
        for (size_t j = 0; j < columns; ++j) by_row[r * columns + j] = dense.values[j * rows + r];
      }
      storage_->values = std::move(by_row);
      dense.values = storage_->values;
    }
    return dense;
  }

  SparseRows DecodeSparse() {
    const NpyArray format = Array("format", 0);
    std::string name(base::AsText(format.elements));
    std::erase(name, '\0');  // of a UCS-4 string, and what pads a longer one
    if (name != kCsr) Fail("format", fmt::format("the matrix is '{}', it must be 'csr'", name));
    std::vector<int64_t> shape_storage;
    const auto shape = Elements<int64_t>("shape", Array("shape", 1), &shape_storage);
    if (shape.size() != 2) Fail("shape", "does not have two elements");
    CheckShape("shape", shape[0], shape[1]);
    SparseRows sparse = {shape[0], shape[1], {}, {}, {}};
    sparse.row_offsets = Elements<int64_t>("indptr", Array("indptr", 1), &storage_->row_offsets);
    sparse.columns = Elements<int32_t>("indices", Array("indices", 1), &storage_->columns);
    sparse.values = Values("data", Array("data", 1));
    CheckSparse(sparse);
    return sparse;
  }

  void CheckShape(std::string_view member, int64_t rows, int64_t columns) const {
    if (rows < 1) Fail(member, "no rows");
    if (columns < 1 || columns > kFeaturesMax) {
      Fail(member, fmt::format("{} features, there must be 1 to {}", columns, kFeaturesMax));
    }
  }

  void CheckSparse(const SparseRows& sparse) const {
    const std::span<const int64_t> offsets = sparse.row_offsets;
    const size_t nonzeros = sparse.values.size();
    if (offsets.size() != static_cast<uint64_t>(sparse.rows) + 1) {
      Fail("indptr", fmt::format("{} elements for {} rows", offsets.size(), sparse.rows));
    }
    if (sparse.columns.size() != nonzeros) {
      Fail("indices", fmt::format("{} elements, but {} in data", sparse.columns.size(), nonzeros));
    }
    if (offsets.front() != 0 || offsets.back() != static_cast<int64_t>(nonzeros)) {
      Fail("indptr", "does not run from 0 to the number of non-zeros");
    }
    for (size_t r = 0; r + 1 < offsets.size(); ++r) {
      if (offsets[r] > offsets[r + 1]) Fail("indptr", fmt::format("decreases at row {}", r));
    }
    for (size_t r = 0; r + 1 < offsets.size(); ++r) {
      const auto begin = static_cast<size_t>(offsets[r]);
      const auto row = sparse.columns.subspan(begin, static_cast<size_t>(offsets[r + 1]) - begin);
      if (row.empty()) continue;
      int unsorted = 0;
      for (size_t i = 1; i < row.size(); ++i) unsorted |= row[i] <= row[i - 1] ? 1 : 0;
      if (unsorted != 0) {
        Fail("indices", fmt::format("row {} has unsorted or repeated columns; "
                                    "sum_duplicates() of scipy.sparse puts that right",
                                    r));
      }
      if (row.front() < 0 || row.back() >= sparse.n_features) {
        Fail("indices",
             fmt::format("row {} has a column beyond the {} features", r, sparse.n_features));
      }
    }
  }

  std::span<const double> DecodeLabels(int64_t rows) {
    if (Find("y") == nullptr) {
      storage_->labels.assign(static_cast<size_t>(rows), 0.0);
      return storage_->labels;
    }
    const auto labels = Elements<double>("y", Array("y", 1), &storage_->labels);
    if (static_cast<int64_t>(labels.size()) != rows) {
      Fail("y", fmt::format("{} labels for {} rows", labels.size(), rows));
    }
    if (!AllFinite<double, uint64_t>(labels)) Fail("y", "a label is not finite");
    return labels;
  }

  std::string_view origin_;
  std::shared_ptr<Storage> storage_;
  std::vector<ZipMember> members_;
};

}  // namespace

bool IsNpz(ByteSpan start) { return base::AsText(start).starts_with(kZipStart); }

void EncodeNpz(const Dataset& dataset, const ByteSink& sink) {
  Encoder encoder(sink);
  if (dataset.is_dense()) {
    const DenseRows& dense = dataset.dense();
    encoder.Add("X", dense.values, {dense.rows, dense.n_features});
  } else {
    const SparseRows& sparse = dataset.sparse();
    const std::array<int64_t, 2> shape = {sparse.rows, sparse.n_features};
    encoder.AddBytes("format", NpyHeader("|S3", {}), base::AsBytes(kCsr));
    encoder.Add<int64_t>("shape", shape, {2});
    encoder.Add("indptr", sparse.row_offsets, {sparse.rows + 1});
    encoder.Add("indices", sparse.columns, {sparse.nonzeros()});
    encoder.Add("data", sparse.values, {sparse.nonzeros()});
  }
  encoder.Add("y", dataset.labels, {dataset.rows()});
  encoder.Finish();
}

base::Bytes EncodeNpz(const Dataset& dataset) {
  base::Bytes bytes;
  EncodeNpz(dataset,
            [&](ByteSpan piece) { bytes.insert(bytes.end(), piece.begin(), piece.end()); });
  return bytes;
}

Dataset DecodeNpz(base::Blob bytes, std::string_view origin) {
  return Decoder(std::move(bytes), origin).Decode();
}

}  // namespace lambdaml::data
