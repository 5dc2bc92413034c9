// The checksum of every format of ours: XXH3-64 (xxhash.com), which runs at memory speed.
#pragma once

#include <cstdint>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::base {

uint64_t Checksum64(ByteSpan bytes);

// 16 lower-case hexadecimal digits of a checksum, as manifests show it.
std::string ChecksumHex(uint64_t checksum);

}  // namespace lambdaml::base
