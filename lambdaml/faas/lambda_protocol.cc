#include "lambdaml/faas/lambda_protocol.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <fmt/format.h>
#include <sys/random.h>
#include <vector>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"

namespace lambdaml::faas {
namespace {

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

uint32_t Base64Value(char digit) {
  const size_t value = kBase64Digits.find(digit);
  if (value == std::string_view::npos) {
    throw base::Error(base::ErrorCode::kInvalidData, "malformed base64 text");
  }
  return static_cast<uint32_t>(value);
}

}  // namespace

std::string FunctionErrorBody(std::string_view error_type, std::string_view message,
                              bool with_stack_trace) {
  base::Json body;
  body.Set("errorType", error_type);
  body.Set("errorMessage", message);
  if (with_stack_trace) body.Set("stackTrace", base::Json::EmptyArray());
  return body.Dump();
}

std::string ResponseTooLargeMessage(size_t size_bytes) {
  return fmt::format(
      "Response payload size ({} bytes) exceeded maximum allowed payload size ({} bytes).",
      size_bytes, kResponseSizeMaxBytes);
}

std::string FunctionArn(std::string_view function_name) {
  return fmt::format("arn:aws:lambda:{}:000000000000:function:{}", kLocalRegion, function_name);
}

std::string RandomHex(size_t digit_count) {
  std::vector<unsigned char> bytes((digit_count + 1) / 2);
  // At most 256 bytes at a time are never given in part nor interrupted (getrandom(2)).
  const ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
  if (count != static_cast<ssize_t>(bytes.size())) {
    base::ThrowErrno("get random bytes from", "the kernel", errno);
  }
  std::string digits;
  for (const unsigned char byte : bytes) digits += fmt::format("{:02x}", byte);
  digits.resize(digit_count);
  return digits;
}

std::string NewRequestId() {
  std::string id = RandomHex(32);
  id[12] = '4';                                      // version: random
  id[16] = "89ab"[static_cast<size_t>(id[16]) % 4];  // variant: RFC 4122
  for (const size_t place : {20U, 16U, 12U, 8U}) id.insert(place, 1, '-');
  return id;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      text += j <= count ? kBase64Digits[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return text;
}

std::string DecodeBase64(std::string_view text) {
  if (text.size() % 4 != 0) {
    throw base::Error(base::ErrorCode::kInvalidData, "malformed base64 text");
  }
  size_t padding_count = 0;
  while (padding_count < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding_count;
  }
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 4) {
    const size_t count = std::min<size_t>(4, text.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 4; ++j) group = group << 6 | (j < count ? Base64Value(text[i + j]) : 0U);
    for (size_t j = 0; j + 1 < count; ++j) {
      bytes += static_cast<char>(group >> (16 - 8 * j) & 255U);
    }
  }
  return bytes;
}

}  // namespace lambdaml::faas
