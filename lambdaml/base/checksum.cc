#include "lambdaml/base/checksum.h"

#include <fmt/format.h>
#include <new>
#include <xxhash.h>

namespace lambdaml::base {

static_assert(sizeof(XXH3_state_t) <= 576 && alignof(XXH3_state_t) <= 64);

uint64_t Checksum64(ByteSpan bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

RunningChecksum::RunningChecksum() { XXH3_64bits_reset(new (state_.data()) XXH3_state_t); }

void RunningChecksum::Add(ByteSpan next) {
  XXH3_64bits_update(std::launder(reinterpret_cast<XXH3_state_t*>(state_.data())), next.data(),
                     next.size());
}

uint64_t RunningChecksum::value() const {
  return XXH3_64bits_digest(std::launder(reinterpret_cast<const XXH3_state_t*>(state_.data())));
}

std::string ChecksumHex(uint64_t checksum) { return fmt::format("{:016x}", checksum); }

}  // namespace lambdaml::base
