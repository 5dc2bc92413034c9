// Invariants of the program itself, on in every build. Never used on input: input ends in an Error.
#pragma once

namespace lambdaml::base {

// Prints "file:line: check failed: condition" to standard error and aborts.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace lambdaml::base

#define LAMBDAML_CHECK(condition)     \
  ((condition) ? static_cast<void>(0) \
               : ::lambdaml::base::CheckFailed(#condition, __FILE__, __LINE__))
