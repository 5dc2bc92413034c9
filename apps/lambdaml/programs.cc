#include "apps/lambdaml/programs.h"

#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::cli {

std::string ProgramBeside(std::string_view name) {
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
  std::string program = self.parent_path() / name;
  if (::access(program.c_str(), X_OK) != 0) {
    throw base::Error(
        base::ErrorCode::kNotFound,
        fmt::format("the program {} is missing: it belongs beside {}", program, self.string()));
  }
  return program;
}

}  // namespace lambdaml::cli
