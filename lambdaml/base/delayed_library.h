// Shared libraries that are loaded when they are first wanted, instead of each time the program
// starts: what lambdaml_delayed_library() (cmake/LambdamlDelayedLibrary.cmake) generates calls
// this.
#pragma once

#include <span>

namespace lambdaml::base {

// Loads the library for good, found as the dynamic loader finds those of the program itself, and
// sets functions[i] to the address of its function names[i]. Errors: kNotFound, with the loader's
// reason, if the library or one of the functions is missing; then nothing is set.
void LoadFunctions(const char* library, std::span<const char* const> names,
                   std::span<void*> functions);

}  // namespace lambdaml::base
