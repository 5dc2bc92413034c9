// Numbers with units, as people read them. Seconds and dollars are finite and not negative.
#pragma once

#include <cstdint>
#include <string>

namespace lambdaml::base {

std::string FormatBytes(uint64_t bytes);    // "0 B", "1.5 KB", "12.0 MB" (powers of 1000)
std::string FormatCount(uint64_t count);    // "1,234,567"
std::string FormatSeconds(double seconds);  // "0.4 ms", "12 ms", "1.24 s", "3 min 05 s"
std::string FormatDollars(
    double dollars);  // "$0.000012", "$1.20": cents, or four significant digits

}  // namespace lambdaml::base
