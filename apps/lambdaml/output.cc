#include <unistd.h>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/file.h"

#include "apps/lambdaml/commands.h"

namespace lambdaml::cli {

void WriteOutput(std::string_view text) {
  base::WriteAll(STDOUT_FILENO, base::AsBytes(text), "standard output");
}

}  // namespace lambdaml::cli
