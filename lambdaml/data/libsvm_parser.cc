#include "lambdaml/data/libsvm_parser.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fmt/format.h>
#include <strings.h>

#include "lambdaml/base/error.h"

namespace lambdaml::data {
namespace {

using number::IsDigit;

constexpr size_t kTokenShownMax = 40;
// The shortest feature, "1:2 ", bounds how many a window can hold.
constexpr size_t kFeatureBytesMin = 4;

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsTokenEnd(char c) { return IsBlank(c) || c == '\n' || c == '\r' || c == '#'; }

const char* SkipBlanks(const char* p) {
  while (IsBlank(*p)) ++p;
  return p;
}

// The word at p, as far as it is worth showing.
std::string_view Token(const char* p) {
  size_t length = 0;
  while (length < kTokenShownMax && !IsTokenEnd(p[length])) ++length;
  return {p, length};
}

std::string Printable(std::string_view token) {
  std::string shown;
  for (const char c : token) {
    const bool printable = c >= 0x20 && c < 0x7f;
    shown +=
        printable ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  return shown;
}

bool IsInfOrNan(std::string_view token) {
  if (token.starts_with('-') || token.starts_with('+')) token.remove_prefix(1);
  const auto starts_with = [&](std::string_view word) {
    return ::strncasecmp(token.data(), word.data(), std::min(token.size(), word.size())) == 0 &&
           token.size() >= word.size();
  };
  return starts_with("nan") || starts_with("inf");
}

struct Index {
  uint64_t value;
  const char* end;
};

// The digits at p, of which there is at least one. Indices of more than 18 digits come out as one
// that is beyond any limit.
Index ParseLongIndex(const char* p) {
  uint64_t value = 0;
  for (; IsDigit(*p); ++p) {
    if (value < 100'000'000'000'000'000) value = value * 10 + static_cast<uint64_t>(*p - '0');
  }
  return {value, p};
}

// As ParseLongIndex, fast for what fits eight bytes with its colon. In the inner loop, so inlined
// whatever the compiler's estimate of its size.
[[gnu::always_inline]] inline Index ParseIndex(const char* p) {
  uint64_t chunk;
  std::memcpy(&chunk, p, sizeof chunk);
  chunk ^= 0x3030303030303030;
  // The high bit of each byte above 9; a carry can spoil only bytes after the first of those.
  const uint64_t others = ((chunk + 0x7676767676767676) | chunk) & 0x8080808080808080;
  if (others == 0) [[unlikely]]
    return ParseLongIndex(p);
  const int length = std::countr_zero(others) / 8;
  return {number::EightDigits(chunk, length), p + length};
}

struct SparseSink {
  SparseBuilder& rows;

  void BeginRow(double label) { rows.BeginRow(label); }
  bool Put(uint64_t column, float value) {
    rows.Put(static_cast<int32_t>(column), value);
    return true;
  }
  void EndRow() { rows.EndRow(); }
};

struct DenseSink {
  DenseBuilder& rows;
  uint64_t width;
  float* row = nullptr;
  WindowStats stats = {};
  uint64_t row_width = 0;

  void BeginRow(double label) {
    row = rows.AppendRow(label);
    row_width = 0;
  }
  bool Put(uint64_t column, float value) {
    if (column >= width) [[unlikely]]
      return false;
    row[column] = value;
    ++stats.features;
    row_width = column + 1;
    return true;
  }
  void EndRow() { stats.width = std::max(stats.width, static_cast<int64_t>(row_width)); }
};

}  // namespace

void LibsvmParser::ParseSparse(std::string_view lines, SparseBuilder& rows) {
  rows.ReserveNonzeros(lines.size() / kFeatureBytesMin + 1);
  SparseSink sink{rows};
  ParseLines(lines, sink);
}

std::optional<WindowStats> LibsvmParser::ParseDense(std::string_view lines, DenseBuilder& rows) {
  DenseSink sink{rows, static_cast<uint64_t>(rows.width())};
  if (!ParseLines(lines, sink)) return std::nullopt;
  return sink.stats;
}

template <typename Sink>
bool LibsvmParser::ParseLines(std::string_view lines, Sink& sink) {
  const int64_t line_before = line_;
  const char* p = lines.data();
  const char* const end = p + lines.size();
  while (p < end) {
    ++line_;
    p = ParseLine(p, sink);
    if (p == nullptr) {
      line_ = line_before;
      return false;
    }
  }
  return true;
}

// Returns the start of the next line, or nullptr if the sink took a column not.
template <typename Sink>
const char* LibsvmParser::ParseLine(const char* p, Sink& sink) const {
  p = SkipBlanks(p);
  if (*p == '\n' || *p == '\r' || *p == '#') return EndOfLine(p);
  double label = 0;
  p = ParseLabel(p, &label);
  sink.BeginRow(label);
  p = SkipBlanks(p);
  if (*p == 'q') p = SkipQueryId(p);
  p = ParseFeatures(p, sink);
  if (p != nullptr) sink.EndRow();
  return p;
}

template <typename Sink>
const char* LibsvmParser::ParseFeatures(const char* p, Sink& sink) const {
  uint64_t column_min = 0;
  for (;;) {
    p = SkipBlanks(p);
    if (!IsDigit(*p)) return EndOfLine(p);
    const Index index = ParseIndex(p);
    // One comparison for column_min <= column < column_end_; index 0 with base 1 wraps around.
    const uint64_t column = index.value - index_base_;
    if (*index.end != ':' || column - column_min >= column_end_ - column_min) [[unlikely]] {
      FailAtIndex(p, column_min);
    }
    float value;
    p = number::ParseFloatAt(index.end + 1, &value);
    if (p == nullptr) [[unlikely]]
      FailAtNumber(index.end + 1, "value");
    if (!sink.Put(column, value)) [[unlikely]]
      return nullptr;
    column_min = column + 1;
  }
}

const char* LibsvmParser::ParseLabel(const char* p, double* label) const {
  const char* const end = number::ParseDoubleAt(p, label);
  if (end == nullptr) FailAtNumber(p, "label");
  if (*end == ':') Fail("the label is missing, the line starts with a feature");
  if (!IsTokenEnd(*end)) FailAtNumber(p, "label");
  return end;
}

const char* LibsvmParser::SkipQueryId(const char* p) const {
  const char* const start = p;
  if (std::strncmp(p, "qid:", 4) == 0 && IsDigit(p[4])) {
    p += 4;
    while (IsDigit(*p)) ++p;
    if (IsTokenEnd(*p)) return p;
  }
  Fail(fmt::format("'{}' is neither qid:number nor index:value", Printable(Token(start))));
}

// p stands where no further feature starts.
const char* LibsvmParser::EndOfLine(const char* p) const {
  if (*p == '\n') return p + 1;
  if (*p == '\r' && p[1] == '\n') return p + 2;
  if (*p == '#') {
    const char* const end = static_cast<const char*>(::rawmemchr(p, '\n'));
    if (std::memchr(p, '\0', static_cast<size_t>(end - p)) != nullptr) Fail("zero byte in comment");
    return end + 1;
  }
  if (*p == '\r') Fail("carriage return inside the line");
  if (*p == '\0') Fail("zero byte in the text");
  Fail(fmt::format("'{}' found where index:value should stand", Printable(Token(p))));
}

void LibsvmParser::Fail(std::string_view what) const {
  throw base::Error(base::ErrorCode::kInvalidData, fmt::format("{}:{}: {}", name_, line_, what));
}

void LibsvmParser::FailAtNumber(const char* p, std::string_view what) const {
  const std::string_view token = Token(p);
  if (token.empty()) Fail(fmt::format("the {} is missing", what));
  const std::string shown = Printable(token);
  if (IsInfOrNan(token)) Fail(fmt::format("{} {} is not finite", what, shown));
  double parsed = 0;
  const char* const end = number::ParseDoubleSlow(p, &parsed);
  if (end != nullptr && IsTokenEnd(*end)) {
    Fail(fmt::format("{} {} is too large for a 32-bit float", what, shown));
  }
  Fail(fmt::format("{} '{}' is not a number in range", what, shown));
}

void LibsvmParser::FailAtIndex(const char* p, uint64_t column_min) const {
  const Index index = ParseLongIndex(p);
  const std::string_view shown = Token(p).substr(0, static_cast<size_t>(index.end - p));
  if (*index.end != ':') {
    Fail(fmt::format("'{}' lacks its ':value'", Printable(Token(p))));
  }
  if (index.value < index_base_) {
    Fail(
        "feature index 0, but indices start at 1 (if this data set's start at 0, say "
        "--index_base 0)");
  }
  const uint64_t column = index.value - index_base_;
  if (column >= column_end_) {
    if (!width_is_declared_) {
      Fail(fmt::format("feature index {} exceeds the limit of {}", shown, column_end_));
    }
    const std::string_view last = index_base_ == 0 ? " (indices start at 0)" : "";
    Fail(fmt::format("feature index {} exceeds --n_features {}{}", shown, column_end_, last));
  }
  const bool repeated = column + 1 == column_min;
  Fail(repeated ? fmt::format("feature index {} is repeated", shown)
                : fmt::format("feature index {} follows {}: indices must increase", shown,
                              column_min - 1 + index_base_));
}

}  // namespace lambdaml::data
