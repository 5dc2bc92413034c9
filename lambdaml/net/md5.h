// MD5 (OpenSSL's), which S3 asks for as a checksum. Not for anything that needs security.
#pragma once

#include <array>
#include <cstddef>

#include "lambdaml/base/bytes.h"

namespace lambdaml::net {

std::array<std::byte, 16> Md5(base::ByteSpan bytes);

}  // namespace lambdaml::net
