#include "lambdaml/net/base64.h"

#include <array>
#include <cstdint>

namespace lambdaml::net {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint32_t kNoDigit = 1U << 31;  // survives shifting three digits together

constexpr std::array<uint32_t, 256> kDigitOf = [] {
  std::array<uint32_t, 256> digits{};
  digits.fill(kNoDigit);
  for (uint32_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = i;
  }
  return digits;
}();

uint32_t DigitOf(char character) { return kDigitOf[static_cast<unsigned char>(character)]; }

}  // namespace

std::string Base64Encode(base::ByteSpan bytes) {
  std::string text;
  text.resize((bytes.size() + 2) / 3 * 4);
  char* out = text.data();
  size_t i = 0;
  const auto at = [&](size_t k) { return std::to_integer<uint32_t>(bytes[k]); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const uint32_t group = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    *out++ = kAlphabet[group >> 18];
    *out++ = kAlphabet[group >> 12 & 63];
    *out++ = kAlphabet[group >> 6 & 63];
    *out++ = kAlphabet[group & 63];
  }
  const size_t rest = bytes.size() - i;
  if (rest > 0) {
    const uint32_t group = at(i) << 16 | (rest == 2 ? at(i + 1) << 8 : 0);
    *out++ = kAlphabet[group >> 18];
    *out++ = kAlphabet[group >> 12 & 63];
    *out++ = rest == 2 ? kAlphabet[group >> 6 & 63] : '=';
    *out++ = '=';
  }
  return text;
}

std::optional<base::Bytes> Base64Decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  base::Bytes bytes(text.size() * 3 / 4);
  std::byte* out = bytes.data();
  uint32_t wrong = 0;
  size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const uint32_t a = DigitOf(text[i]);
    const uint32_t b = DigitOf(text[i + 1]);
    const uint32_t c = DigitOf(text[i + 2]);
    const uint32_t d = DigitOf(text[i + 3]);
    wrong |= a | b | c | d;
    const uint32_t group = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<std::byte>(group >> 16);
    *out++ = static_cast<std::byte>(group >> 8);
    *out++ = static_cast<std::byte>(group);
  }
  uint32_t stray = 0;
  if (padding > 0) {  // two or three digits are left
    const uint32_t a = DigitOf(text[i]);
    const uint32_t b = DigitOf(text[i + 1]);
    const uint32_t c = padding == 1 ? DigitOf(text[i + 2]) : 0;
    wrong |= a | b | c;
    const uint32_t group = a << 18 | b << 12 | c << 6;
    *out++ = static_cast<std::byte>(group >> 16);
    if (padding == 1) *out++ = static_cast<std::byte>(group >> 8);
    stray = padding == 1 ? group & 0xFF : group & 0xFFFF;
  }
  if ((wrong & kNoDigit) != 0 || stray != 0) return std::nullopt;
  return bytes;
}

}  // namespace lambdaml::net
