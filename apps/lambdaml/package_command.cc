#include <fmt/format.h>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/base/units.h"
#include "lambdaml/net/sha256.h"
#include "lambdaml/package/function_package.h"

#include "apps/lambdaml/commands.h"
#include "apps/lambdaml/programs.h"

namespace lambdaml::cli {

void Run(const PackageArguments& arguments) {
  const std::vector<package::FileMember> members = package::CollectFunction(
      {.worker = arguments.worker.empty() ? ProgramBeside("lambdaml-worker") : arguments.worker,
       .bootstrap = ProgramBeside("lambdaml-bootstrap")});
  uint64_t unpacked_bytes = 0;
  for (const package::FileMember& member : members) unpacked_bytes += member.bytes.size();
  const std::string content =
      fmt::format("{} files, {} unpacked", members.size(), base::FormatBytes(unpacked_bytes));

  if (!arguments.image.empty()) {
    package::WriteImageContext(members, arguments.image);
    WriteOutput(fmt::format("{}: {}\n", arguments.image, content));
    if (arguments.output.empty()) return;
  }
  const std::string output = arguments.output.empty() ? "function.zip" : arguments.output;
  const base::Bytes zip = package::MakeZip(members);
  base::WriteFileAtomic(output, zip);
  WriteOutput(fmt::format("{}: {}, {}, sha256 {}\n", output, base::FormatBytes(zip.size()), content,
                          net::Hex(net::Sha256(zip))));
}

}  // namespace lambdaml::cli
