#include "lambdaml/data/number.h"

#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <system_error>

namespace lambdaml::data {
namespace number {

const double kPowers10[] = {1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28,
                            1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18,
                            1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9,  1e-8,
                            1e-7,  1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,   1e1,   1e2,
                            1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,   1e10,  1e11,  1e12,
                            1e13,  1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22};

namespace {

// The end of the number of our grammar at p, or nullptr.
const char* ScanNumber(const char* p) {
  if (*p == '-' || *p == '+') ++p;
  const char* const start = p;
  while (IsDigit(*p)) ++p;
  auto digit_count = p - start;
  if (*p == '.') {
    const char* const fraction = ++p;
    while (IsDigit(*p)) ++p;
    digit_count += p - fraction;
  }
  if (digit_count == 0) return nullptr;
  if (*p == 'e' || *p == 'E') {
    ++p;
    if (*p == '-' || *p == '+') ++p;
    if (!IsDigit(*p)) return nullptr;
    while (IsDigit(*p)) ++p;
  }
  return p;
}

// Whether the number in [p, end) that from_chars found out of range is too small, not too large:
// the decimal exponent of its first digit that is not 0 is negative.
bool IsUnderflow(const char* p, const char* end) {
  long long exponent = 0;  // of the leading digit
  bool found = false;
  bool in_fraction = false;
  for (; p < end && *p != 'e' && *p != 'E'; ++p) {
    if (*p == '.') {
      in_fraction = true;
    } else if (IsDigit(*p)) {
      if (!found && in_fraction) --exponent;
      if (found && !in_fraction) ++exponent;
      found = found || *p != '0';
    }
  }
  if (!found) return true;
  if (p == end) return exponent < 0;
  ++p;
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') ++p;
  long long written = 0;
  const auto [rest, error] = std::from_chars(p, end, written);
  if (error != std::errc()) return negative;  // an exponent beyond 64 bits
  return (negative ? exponent - written : exponent + written) < 0;
}

template <typename T>
const char* ParseSlow(const char* p, T* value) {
  const char* const end = ScanNumber(p);
  if (end == nullptr) return nullptr;
  const char* const start = *p == '+' ? p + 1 : p;  // from_chars knows no plus sign
  const auto [rest, error] = std::from_chars(start, end, *value);
  if (error == std::errc::result_out_of_range) {
    if (!IsUnderflow(start, end)) return nullptr;
    *value = *p == '-' ? -T{0} : T{0};
    return end;
  }
  if (error != std::errc() || rest != end || !std::isfinite(*value)) return nullptr;
  return end;
}

}  // namespace

const char* ParseFloatSlow(const char* p, float* value) { return ParseSlow(p, value); }
const char* ParseDoubleSlow(const char* p, double* value) { return ParseSlow(p, value); }

}  // namespace number

namespace {

template <typename T, typename Parse>
std::optional<T> ParseWhole(std::string_view text, Parse parse) {
  std::string padded(text);
  padded.append(number::kPaddingBytes, '\0');
  T value = 0;
  const char* const end = parse(padded.data(), &value);
  if (end != padded.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<float> ParseFloat(std::string_view text) {
  return ParseWhole<float>(text, number::ParseFloatAt);
}

std::optional<double> ParseDouble(std::string_view text) {
  return ParseWhole<double>(text, number::ParseDoubleAt);
}

}  // namespace lambdaml::data
