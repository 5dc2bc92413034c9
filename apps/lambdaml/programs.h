// The programs that belong to this one.
#pragma once

#include <string>
#include <string_view>

namespace lambdaml::cli {

// The path of a program that lies beside this one. Errors: kNotFound.
std::string ProgramBeside(std::string_view name);

}  // namespace lambdaml::cli
