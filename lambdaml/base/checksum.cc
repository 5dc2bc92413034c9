#include "lambdaml/base/checksum.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace lambdaml::base {

uint64_t Checksum64(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string ChecksumHex(uint64_t checksum) { return fmt::format("{:016x}", checksum); }

}  // namespace lambdaml::base
