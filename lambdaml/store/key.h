// The one rule for keys, the same on every store, so that a job that runs on one runs on all.
#pragma once

#include <cstddef>
#include <string_view>

namespace lambdaml::store {

inline constexpr size_t kKeySizeMaxBytes = 200;

// Whether `key` is '/'-separated components of [A-Za-z0-9._-], none of them empty, "." or "..", at
// most 200 bytes in all.
bool IsKey(std::string_view key);

// Errors: kInvalidArgument, quoting the key, if it is not one.
void CheckKey(std::string_view key);

// The part of a key before its last '/', or "" if there is none.
std::string_view FolderOf(std::string_view key);

}  // namespace lambdaml::store
