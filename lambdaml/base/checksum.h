// The checksum of every format of ours: XXH3-64 (xxhash.com), which runs at memory speed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::base {

uint64_t Checksum64(ByteSpan bytes);

// The checksum of bytes that come in pieces, one after the other.
class RunningChecksum {
 public:
  RunningChecksum();
  void Add(ByteSpan next);
  uint64_t value() const;  // of all so far

 private:
  alignas(64) std::array<std::byte, 576> state_;  // xxHash's
};

// 16 lower-case hexadecimal digits of a checksum, as manifests show it.
std::string ChecksumHex(uint64_t checksum);

}  // namespace lambdaml::base
