#include "lambdaml/base/delayed_library.h"

#include <algorithm>
#include <dlfcn.h>
#include <fmt/format.h>
#include <vector>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"

namespace lambdaml::base {

void LoadFunctions(const char* library, std::span<const char* const> names,
                   std::span<void*> functions) {
  LAMBDAML_CHECK(names.size() == functions.size());
  const auto refuse = [&] {
    const char* const reason = ::dlerror();
    throw Error(ErrorCode::kNotFound,
                fmt::format("the shared library {} cannot be loaded: {}: install it, or package it "
                            "with the program",
                            library, reason == nullptr ? "unknown reason" : reason));
  };
  // Never closed: code of it may run until the very end of the process.
  void* const handle = ::dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse();
  std::vector<void*> found;
  for (const char* const name : names) {
    found.push_back(::dlsym(handle, name));
    if (found.back() == nullptr) refuse();
  }
  std::ranges::copy(found, functions.begin());
}

}  // namespace lambdaml::base
