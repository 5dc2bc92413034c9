// Percent-encoding of URL parts (RFC 3986), as AWS signatures want it.
#pragma once

#include <string>
#include <string_view>

namespace lambdaml::net {

// Each byte but A-Z a-z 0-9 - . _ ~ and those of `kept` as '%' and two upper-case hex digits.
std::string PercentEncode(std::string_view text, std::string_view kept = "");

}  // namespace lambdaml::net
