#include "lambdaml/data/npy.h"

#include <charconv>
#include <cstring>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kAlignment = 64;
constexpr size_t kDimensionsMax = 8;

// Parses the header's Python dictionary, of which NumPy writes this form only:
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view origin) : rest_(text), origin_(origin) {}

  NpyArray Parse() {
    NpyArray array;
    bool has_dtype = false;
    bool has_order = false;
    bool has_shape = false;
    Expect('{');
    while (!Accept('}')) {
      const std::string key = String();
      Expect(':');
      if (key == "descr" && !has_dtype) {
        array.dtype = String();
        has_dtype = true;
      } else if (key == "fortran_order" && !has_order) {
        array.fortran_order = Boolean();
        has_order = true;
      } else if (key == "shape" && !has_shape) {
        array.shape = Tuple();
        has_shape = true;
      } else {
        Fail();
      }
      if (!Accept(',') && Peek() != '}') Fail();
    }
    if (Peek() != '\0' || !has_dtype || !has_order || !has_shape) Fail();
    return array;
  }

 private:
  [[noreturn]] void Fail() const {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: the .npy header is malformed", origin_));
  }

  // The next character that is no white space, '\0' at the end.
  char Peek() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n'))
      rest_.remove_prefix(1);
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool Accept(char c) {
    if (rest_.empty() || Peek() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void Expect(char c) {
    if (!Accept(c)) Fail();
  }
  std::string String() {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') Fail();
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) Fail();
    std::string value(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return value;
  }
  bool Boolean() {
    Peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (rest_.starts_with(word)) {
        rest_.remove_prefix(word.size());
        return value;
      }
    }
    Fail();
  }
  std::vector<int64_t> Tuple() {
    std::vector<int64_t> values;
    Expect('(');
    while (!Accept(')')) {
      Peek();
      int64_t value = -1;
      const char* const end = rest_.data() + rest_.size();
      const auto [stop, error] = std::from_chars(rest_.data(), end, value);
      if (error != std::errc() || value < 0 || values.size() == kDimensionsMax) Fail();
      rest_.remove_prefix(static_cast<size_t>(stop - rest_.data()));
      values.push_back(value);
      if (!Accept(',') && Peek() != ')') Fail();
    }
    return values;
  }

  std::string_view rest_;
  std::string_view origin_;
};

// The bytes of one element: the number behind the byte order and the kind, times 4 for the
// characters of U.
std::optional<uint64_t> ItemBytes(std::string_view dtype) {
  if (dtype.size() < 3) return std::nullopt;
  uint64_t value = 0;
  const char* const end = dtype.data() + dtype.size();
  const auto [stop, error] = std::from_chars(dtype.data() + 2, end, value);
  if (error != std::errc() || stop != end || value == 0 || value > 64) return std::nullopt;
  return dtype[1] == 'U' ? 4 * value : value;
}

}  // namespace

int64_t NpyArray::element_count() const {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

NpyArray ParseNpy(base::ByteSpan bytes, std::string_view origin) {
  const std::string_view text = base::AsText(bytes);
  const auto fail = [&](std::string_view what) {
    throw Error(ErrorCode::kInvalidData, fmt::format("{}: {}", origin, what));
  };
  if (text.size() < 12 || !text.starts_with(kMagic)) fail("not an .npy array");
  const auto version = static_cast<unsigned char>(text[6]);
  if (version < 1 || version > 3) fail(fmt::format("unknown .npy version {}", version));
  // Version 1 counts the header in 16 bits, the later ones in 32.
  const size_t count_bytes = version == 1 ? 2 : 4;
  uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, text.data() + 8, count_bytes);
  const size_t start = 8 + count_bytes;
  if (header_bytes > text.size() - start) fail("the .npy header is truncated");
  NpyArray array = HeaderParser(text.substr(start, header_bytes), origin).Parse();
  array.elements = bytes.subspan(start + header_bytes);
  const auto item_bytes = ItemBytes(array.dtype);
  if (!item_bytes) fail(fmt::format("unknown element type {}", array.dtype));
  uint64_t wanted = *item_bytes;
  for (const int64_t size : array.shape) {
    if (__builtin_mul_overflow(wanted, static_cast<uint64_t>(size), &wanted)) {
      fail("the shape is too large");
    }
  }
  if (wanted != array.elements.size()) {
    fail(fmt::format("shape ({}) of {} takes {} bytes, there are {}", fmt::join(array.shape, ", "),
                     array.dtype, wanted, array.elements.size()));
  }
  return array;
}

std::string NpyHeader(std::string_view dtype, const std::vector<int64_t>& shape) {
  const std::string_view comma = shape.size() == 1 ? "," : "";
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", dtype,
                  fmt::join(shape, ", "), comma);
  constexpr size_t kPrefixBytes = 10;
  const size_t unpadded = kPrefixBytes + dictionary.size() + 1;
  dictionary.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ').append("\n");
  const auto header_bytes = static_cast<uint16_t>(dictionary.size());
  std::string header(kMagic);
  header.append({1, 0}).append(
      {static_cast<char>(header_bytes & 0xff), static_cast<char>(header_bytes >> 8)});
  return header + dictionary;
}

}  // namespace lambdaml::data
