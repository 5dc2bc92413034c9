#include "lambdaml/store/key.h"

#include <algorithm>
#include <fmt/format.h>
#include <string>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

bool IsKeyCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool IsComponent(std::string_view text) {
  return !text.empty() && text != "." && text != ".." && std::ranges::all_of(text, IsKeyCharacter);
}

}  // namespace

bool IsKey(std::string_view key) {
  if (key.size() > kKeySizeMaxBytes) return false;
  for (size_t end = key.find('/'); end != key.npos; end = key.find('/')) {
    if (!IsComponent(key.substr(0, end))) return false;
    key.remove_prefix(end + 1);
  }
  return IsComponent(key);
}

void CheckKey(std::string_view key) {
  if (IsKey(key)) return;
  std::string shown(key.substr(0, kKeySizeMaxBytes));
  std::ranges::replace_if(
      shown, [](char c) { return c < ' ' || c > '~'; }, '?');
  throw base::Error(
      base::ErrorCode::kInvalidArgument,
      fmt::format("'{}' is not a key: keys are 1 to {} bytes of A-Z a-z 0-9 . _ - in parts joined "
                  "by single slashes, and no part is '.' or '..'",
                  shown, kKeySizeMaxBytes));
}

std::string_view FolderOf(std::string_view key) {
  const size_t slash = key.rfind('/');
  return slash == key.npos ? std::string_view() : key.substr(0, slash);
}

}  // namespace lambdaml::store
