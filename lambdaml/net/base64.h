// Base64 (RFC 4648, section 4): the standard alphabet, padded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml::net {

std::string Base64Encode(base::ByteSpan bytes);

// The inverse, and strict: nothing for text that Base64Encode does not write (another alphabet,
// spaces, missing padding, stray bits in the last character).
std::optional<base::Bytes> Base64Decode(std::string_view text);

}  // namespace lambdaml::net
