#include "lambdaml/wire/state.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"

namespace lambdaml::wire {
namespace {

constexpr std::array<char, 4> kMagic = {'L', 'M', 'L', 'S'};
constexpr uint32_t kVersion = 1;
constexpr size_t kAlignment = 8;

struct Header {
  std::array<char, 4> magic = kMagic;
  uint32_t version = kVersion;
  uint64_t checksum = 0;
};

struct EntryHeader {
  uint32_t type = 0;
  uint32_t name_size = 0;
  uint64_t count = 0;
};
static_assert(sizeof(Header) == 16 && sizeof(EntryHeader) == 16);

constexpr size_t Padded(size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

void AppendPadded(base::Bytes& bytes, base::ByteSpan more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
  bytes.resize(Padded(bytes.size()));
}

constexpr size_t SizeOf(uint32_t type) {
  if (type == 2) return sizeof(float);
  return type == 4 ? 1 : sizeof(double);
}

}  // namespace

State::State(base::Blob bytes, std::string origin)
    : saving_(false), restored_(std::move(bytes)), origin_(std::move(origin)) {
  Header header;
  if (restored_.size() < sizeof(header)) ThrowCorrupt("it is too short for a saved state");
  std::memcpy(&header, restored_.data(), sizeof(header));
  if (header.magic != kMagic) ThrowCorrupt("it is no saved state");
  if (header.version != kVersion) {
    ThrowCorrupt(
        fmt::format("its format has version {}, this program reads {}", header.version, kVersion));
  }
  position_ = sizeof(header);
  if (base::Checksum64(restored_.span().subspan(position_)) != header.checksum) {
    ThrowCorrupt("its checksum is wrong: it is damaged or incomplete");
  }
}

void State::Visit(std::string_view name, int64_t& value) {
  VisitSpan(name, Type::kInt64, std::span(&value, 1));
}

void State::Visit(std::string_view name, uint64_t& value) {
  auto number = static_cast<int64_t>(value);
  Visit(name, number);
  value = static_cast<uint64_t>(number);
}

void State::Visit(std::string_view name, double& value) {
  VisitSpan(name, Type::kFloat64, std::span(&value, 1));
}

void State::Visit(std::string_view name, bool& value) {
  int64_t number = value ? 1 : 0;
  Visit(name, number);
  value = number != 0;
}

void State::Visit(std::string_view name, std::string& value) {
  if (saving_) {
    Append(name, Type::kByte, value.size(), base::AsBytes(value));
  } else {
    value = base::AsText(Next(name, Type::kByte));
  }
}

void State::Visit(std::string_view name, std::vector<int64_t>& values) {
  VisitVector(name, Type::kInt64, values);
}

void State::Visit(std::string_view name, std::vector<float>& values) {
  VisitVector(name, Type::kFloat32, values);
}

void State::Visit(std::string_view name, std::vector<double>& values) {
  VisitVector(name, Type::kFloat64, values);
}

void State::Visit(std::string_view name, std::span<float> values) {
  VisitSpan(name, Type::kFloat32, values);
}

void State::Visit(std::string_view name, std::span<double> values) {
  VisitSpan(name, Type::kFloat64, values);
}

template <typename T>
void State::VisitSpan(std::string_view name, Type type, std::span<T> values) {
  if (saving_) {
    Append(name, type, values.size(), std::as_bytes(values));
    return;
  }
  const base::ByteSpan bytes = Next(name, type);
  if (bytes.size() != values.size_bytes()) {
    ThrowCorrupt(fmt::format("its {} has {} numbers, expected {}", name, bytes.size() / sizeof(T),
                             values.size()));
  }
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
}

template <typename T>
void State::VisitVector(std::string_view name, Type type, std::vector<T>& values) {
  if (saving_) {
    Append(name, type, values.size(), std::as_bytes(std::span(values)));
    return;
  }
  const base::ByteSpan bytes = Next(name, type);
  values.resize(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
}

void State::Append(std::string_view name, Type type, uint64_t count, base::ByteSpan values) {
  const EntryHeader header = {static_cast<uint32_t>(type), static_cast<uint32_t>(name.size()),
                              count};
  AppendPadded(saved_, std::as_bytes(std::span(&header, 1)));
  AppendPadded(saved_, base::AsBytes(name));
  AppendPadded(saved_, values);
}

base::ByteSpan State::Next(std::string_view name, Type type) {
  const base::ByteSpan rest = restored_.span().subspan(position_);
  EntryHeader header;
  if (rest.size() < sizeof(header)) ThrowCorrupt(fmt::format("it ends before its {}", name));
  std::memcpy(&header, rest.data(), sizeof(header));
  const size_t name_end = sizeof(header) + Padded(header.name_size);
  if (header.type < 1 || header.type > 4 || name_end > rest.size() ||
      header.count > (rest.size() - name_end) / SizeOf(header.type)) {
    ThrowCorrupt(fmt::format("it is cut off in its {}", name));
  }
  const std::string_view found = base::AsText(rest.subspan(sizeof(header), header.name_size));
  if (found != name || header.type != static_cast<uint32_t>(type)) {
    ThrowCorrupt(fmt::format("it has '{}' where '{}' is expected: it is of another kind of run",
                             found, name));
  }
  const size_t size = header.count * SizeOf(header.type);
  position_ += std::min(rest.size(), name_end + Padded(size));
  return rest.subspan(name_end, size);
}

base::Bytes State::TakeBytes() {
  LAMBDAML_CHECK(saving_);
  Header header;
  header.checksum = base::Checksum64(base::ByteSpan(saved_).subspan(sizeof(header)));
  std::memcpy(saved_.data(), &header, sizeof(header));
  return std::exchange(saved_, base::Bytes(kHeaderSizeBytes));
}

void State::CheckEnd() const {
  if (!saving_ && position_ != restored_.size()) {
    ThrowCorrupt("it holds more than is expected: it is of another kind of run");
  }
}

void State::ThrowCorrupt(std::string_view cause) const {
  throw base::Error(base::ErrorCode::kCorrupt, fmt::format("{}: {}", origin_, cause));
}

}  // namespace lambdaml::wire
