// SHA-256 and HMAC-SHA-256 (OpenSSL's).
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::net {

using Sha256Digest = std::array<std::byte, 32>;

Sha256Digest Sha256(base::ByteSpan bytes);
Sha256Digest HmacSha256(base::ByteSpan key, base::ByteSpan bytes);

// Two lower-case hexadecimal digits for each byte.
std::string Hex(base::ByteSpan bytes);

}  // namespace lambdaml::net
