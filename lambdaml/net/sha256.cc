#include "lambdaml/net/sha256.h"

#include <cstdint>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "lambdaml/base/check.h"

namespace lambdaml::net {
namespace {

unsigned char* OutputOf(Sha256Digest& digest) {
  return reinterpret_cast<unsigned char*>(digest.data());
}

}  // namespace

Sha256Digest Sha256(base::ByteSpan bytes) {
  Sha256Digest digest;
  const int done =
      EVP_Digest(bytes.data(), bytes.size(), OutputOf(digest), nullptr, EVP_sha256(), nullptr);
  LAMBDAML_CHECK(done == 1);
  return digest;
}

Sha256Digest HmacSha256(base::ByteSpan key, base::ByteSpan bytes) {
  Sha256Digest digest;
  LAMBDAML_CHECK(key.size() <= INT32_MAX);
  // An empty key must not be a null pointer, which HMAC takes for "as before".
  static constexpr std::byte kNothing{};
  const void* const key_data = key.empty() ? &kNothing : key.data();
  const unsigned char* const done = HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()),
                                         reinterpret_cast<const unsigned char*>(bytes.data()),
                                         bytes.size(), OutputOf(digest), nullptr);
  LAMBDAML_CHECK(done != nullptr);
  return digest;
}

std::string Hex(base::ByteSpan bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::byte byte : bytes) {
    hex += kDigits[std::to_integer<unsigned>(byte) >> 4];
    hex += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return hex;
}

}  // namespace lambdaml::net
