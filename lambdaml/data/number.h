// Decimal numbers, read exactly as strtof and strtod read them, many times faster.
//
// Grammar: [+-] (digits [. [digits]] | . digits) [(e|E) [+-] digits]. No hexadecimal, inf or nan.
//
// The fast path gathers up to 19 digits as an integer m and computes d = m · 10^e in double
// precision. m, 10^e and the product are each rounded once, so d is within 3.01 ulp of the decimal.
// Rounding d to float is then the same as rounding the decimal, unless a midpoint between two
// floats lies that close to d, which the low 29 bits of d tell. Those few (1 in 10^7), very long
// and very small or large numbers go to std::from_chars.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <immintrin.h>
#include <optional>
#include <string_view>

namespace lambdaml::data {

// The value of the whole of `text`, or nothing if it is not of the grammar or beyond the type's
// range. Underflow gives zero or a subnormal number, as in strtof.
std::optional<float> ParseFloat(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);

namespace number {

// What the parsers below need to be able to read beyond the end of a number: any bytes.
inline constexpr size_t kPaddingBytes = 64;

inline constexpr int kPower10Min = -37;
inline constexpr int kPower10Max = 22;
// kPowers10[e - kPower10Min] is the double nearest to 10^e.
extern const double kPowers10[kPower10Max - kPower10Min + 1];

inline bool IsDigit(char c) { return static_cast<unsigned char>(c - '0') <= 9; }

// 1 for a sign, without a branch: signs of data are hard to predict.
inline int SignBytes(char c) { return static_cast<int>(c == '-') | static_cast<int>(c == '+'); }

// Parses the number at p by std::from_chars. Returns its end, or nullptr if there is none or it is
// beyond float's range. [p, the number's end] must lie in memory and the number be followed by a
// byte that is not of the grammar.
const char* ParseFloatSlow(const char* p, float* value);
const char* ParseDoubleSlow(const char* p, double* value);

// The number that 1..8 digits at the low end of `chunk` (already without '0's) spell; the rest of
// the chunk is shifted out. Three multiplications instead of one per digit.
inline uint64_t EightDigits(uint64_t chunk, int digit_count) {
  chunk <<= 64 - 8 * digit_count;
  chunk = chunk * 10 + (chunk >> 8);
  return (((chunk & 0x000000FF000000FF) * 0x000F424000000064) +
          (((chunk >> 16) & 0x000000FF000000FF) * 0x0000271000000001)) >>
         32;
}

// 16 bytes, 0..9 each, first the most significant.
inline uint64_t SixteenDigits(__m128i digits) {
  const __m128i tens = _mm_set1_epi16(0x010A);          // 10, 1
  const __m128i hundreds = _mm_set1_epi32(0x00010064);  // 100, 1
  const __m128i myriads = _mm_set1_epi32(0x00012710);   // 10000, 1
  const __m128i pairs = _mm_maddubs_epi16(digits, tens);
  const __m128i fours = _mm_madd_epi16(pairs, hundreds);
  const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), myriads);
  const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
  return (both & 0xFFFFFFFF) * 100'000'000 + (both >> 32);
}

// An unsigned decimal as m · 10^exponent.
struct Decimal {
  uint64_t mantissa;
  int exponent;
  const char* end;  // nullptr: more than 19 digits, or not a number; the slow path knows
};

// The rest of a decimal whose first 16 bytes are digits, and perhaps a point.
inline Decimal ContinueDecimal(uint64_t mantissa, int digit_count, int fraction_digits,
                               const char* p) {
  constexpr int kDigitsMax = 19;  // fits 64 bits
  bool in_fraction = fraction_digits >= 0;
  int exponent = in_fraction ? -fraction_digits : 0;
  for (;; ++p) {
    if (IsDigit(*p)) {
      if (++digit_count > kDigitsMax) return {0, 0, nullptr};
      mantissa = mantissa * 10 + static_cast<uint64_t>(*p - '0');
      exponent -= in_fraction ? 1 : 0;
    } else if (*p == '.' && !in_fraction) {
      in_fraction = true;
    } else {
      return {mantissa, exponent, p};
    }
  }
}

// "e-05" and the like at p, added to `decimal`.
inline Decimal AddExponent(Decimal decimal) {
  const char* p = decimal.end + 1;
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') ++p;
  int exponent = 0;
  int digit_count = 0;
  for (; IsDigit(*p); ++p) {
    if (++digit_count > 4) return {0, 0, nullptr};
    exponent = exponent * 10 + (*p - '0');
  }
  if (digit_count == 0) return {0, 0, nullptr};
  return {decimal.mantissa, decimal.exponent + (negative ? -exponent : exponent), p};
}

inline Decimal ParseDecimal(const char* p) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  __m128i digits = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
  const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
  const uint32_t others = ~static_cast<uint32_t>(_mm_movemask_epi8(is_digit));  // bit 16 up: set
  const __m128i positions = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  int length = std::countr_zero(others);
  int digit_count = length;
  int fraction_digits = -1;  // no point
  if (length < 16 && p[length] == '.') {
    const int point = length;
    length = std::countr_zero(others & (others - 1));
    digit_count = length - 1;
    fraction_digits = length - point - 1;
    // Closes the gap: bytes from the point on come from one place further.
    const __m128i from_point =
        _mm_cmpgt_epi8(positions, _mm_set1_epi8(static_cast<char>(point - 1)));
    digits = _mm_blendv_epi8(digits, _mm_srli_si128(digits, 1), from_point);
  }
  if (digit_count == 0) return {0, 0, nullptr};
  // Moves the digits to the end, zeros before them.
  const __m128i right_aligned = _mm_shuffle_epi8(
      digits, _mm_add_epi8(positions, _mm_set1_epi8(static_cast<char>(digit_count - 16))));
  Decimal decimal = {SixteenDigits(right_aligned), fraction_digits > 0 ? -fraction_digits : 0,
                     p + length};
  if (length >= 16) [[unlikely]] {
    decimal = ContinueDecimal(decimal.mantissa, digit_count, fraction_digits, p + length);
    if (decimal.end == nullptr) return decimal;
  }
  if ((*decimal.end | 0x20) == 'e') [[unlikely]]
    return AddExponent(decimal);
  return decimal;
}

// Parses the number at p. Returns its end, or nullptr if there is no number or it is beyond the
// type's range. kPaddingBytes beyond the number must be readable.
inline const char* ParseFloatAt(const char* p, float* value) {
  const bool negative = *p == '-';
  const Decimal decimal = ParseDecimal(p + SignBytes(*p));
  // With m < 2^64 and these powers the product is 0 or well inside the range of normal floats.
  constexpr int kPowerMax = 19;
  if (decimal.end == nullptr || decimal.exponent < kPower10Min || decimal.exponent > kPowerMax)
      [[unlikely]] {
    return ParseFloatSlow(p, value);
  }
  const double magnitude =
      static_cast<double>(decimal.mantissa) * kPowers10[decimal.exponent - kPower10Min];
  // Floats keep 24 of a double's 53 significant bits; midpoints have the 25th and none after it.
  constexpr uint64_t kDroppedBits = (uint64_t{1} << 29) - 1;
  constexpr uint64_t kMidpoint = uint64_t{1} << 28;
  constexpr uint64_t kErrorUlps = 8;
  const uint64_t dropped = std::bit_cast<uint64_t>(magnitude) & kDroppedBits;
  if (dropped - (kMidpoint - kErrorUlps) <= 2 * kErrorUlps) [[unlikely]] {
    return ParseFloatSlow(p, value);
  }
  const uint32_t sign = static_cast<uint32_t>(negative) << 31;
  *value = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(magnitude)) | sign);
  return decimal.end;
}

// As ParseFloatAt. The fast path is Clinger's: m and 10^|e| are doubles without error, so one
// multiplication or division rounds once.
inline const char* ParseDoubleAt(const char* p, double* value) {
  constexpr uint64_t kExactMax = uint64_t{1} << 53;
  constexpr int kExactPowerMax = 22;
  const bool negative = *p == '-';
  const Decimal decimal = ParseDecimal(p + SignBytes(*p));
  if (decimal.end == nullptr || decimal.mantissa > kExactMax ||
      decimal.exponent < -kExactPowerMax || decimal.exponent > kExactPowerMax) {
    return ParseDoubleSlow(p, value);
  }
  double magnitude = static_cast<double>(decimal.mantissa);
  if (decimal.exponent < 0) {
    magnitude /= kPowers10[-decimal.exponent - kPower10Min];
  } else {
    magnitude *= kPowers10[decimal.exponent - kPower10Min];
  }
  *value = negative ? -magnitude : magnitude;
  return decimal.end;
}

}  // namespace number
}  // namespace lambdaml::data
