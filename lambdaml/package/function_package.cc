#include "lambdaml/package/function_package.h"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <system_error>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/units.h"
#include "lambdaml/net/ca_bundle.h"
#include "lambdaml/package/loaded_objects.h"

namespace lambdaml::package {
namespace {

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

// An image that holds the package and nothing else: no shell, no package manager, nothing to update
// but the package itself. Lambda runs it as a custom runtime; the HTTP mode serves $PORT.
constexpr std::string_view kDockerfile =
    R"(# A LambdaML worker, with the loader and libraries it brings along.
#   docker build --tag lambdaml-worker .
FROM scratch
COPY function/ /var/task/
# Where the platform sets PORT, workers serve HTTP; whoever reaches them can give them jobs.
ENV LAMBDA_TASK_ROOT=/var/task LAMBDAML_LISTEN=0.0.0.0
WORKDIR /tmp
USER 65534:65534
ENTRYPOINT ["/var/task/bootstrap"]
)";

// Where apps/worker/bootstrap.cc looks for it.
constexpr std::string_view kLoaderName = "ld-linux-x86-64.so.2";

std::vector<std::string> ModulesBeside(const std::string& program) {
  std::vector<std::string> modules;
  for (const auto& entry : fs::directory_iterator(fs::absolute(program).parent_path())) {
    const std::string name = entry.path().filename();
    if (name.starts_with("lambdaml-") && name.ends_with(".so")) modules.push_back(entry.path());
  }
  return modules;
}

std::string CertificatesOf(const PackageOptions& options) {
  std::string path = options.certificates.empty() ? net::CaBundle() : options.certificates;
  if (path.empty()) {
    throw Error(ErrorCode::kNotFound,
                "package: this machine has no file of trusted certificates, which functions need "
                "for TLS: install ca-certificates, or name one with SSL_CERT_FILE");
  }
  return path;
}

}  // namespace

std::vector<FileMember> CollectFunction(const PackageOptions& options) {
  const std::string loader = InterpreterOf(options.worker);
  std::map<std::string, std::string> libraries;  // name in lib/ to path
  libraries[std::string(kLoaderName)] = loader;
  std::vector<std::string> objects = ModulesBeside(options.worker);
  for (const std::string& module : objects) libraries[fs::path(module).filename()] = module;
  objects.push_back(options.worker);
  for (const std::string& object : objects) {
    for (const SharedObject& needed : LoadedObjects(loader, object)) {
      libraries.emplace(needed.name, needed.path);
    }
  }

  std::vector<FileMember> members = {
      {"bootstrap", base::MapFile(options.bootstrap), true},
      {"ca-certificates.crt", base::MapFile(CertificatesOf(options)), false},
      {"lambdaml-worker", base::MapFile(options.worker), true}};
  for (const auto& [name, path] : libraries) {
    members.push_back({"lib/" + name, base::MapFile(path), name == kLoaderName});
  }
  std::ranges::sort(members, {}, &FileMember::name);

  uint64_t total_bytes = 0;
  for (const FileMember& member : members) total_bytes += member.bytes.size();
  if (total_bytes > kUnpackedBytesMax) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("package: {} with its libraries takes {}, Lambda unpacks at most {}: "
                            "make a container image (--image)",
                            options.worker, base::FormatBytes(total_bytes),
                            base::FormatBytes(kUnpackedBytesMax)));
  }
  return members;
}

void WriteImageContext(const std::vector<FileMember>& members, const std::string& folder) {
  std::error_code error;  // of a folder that does not exist
  if (fs::exists(folder, error) && !fs::is_empty(folder, error)) {
    throw Error(ErrorCode::kAlreadyExists,
                fmt::format("{} is not an empty folder: name another for the image", folder));
  }
  base::MakeDirectories(folder + "/function/lib");
  for (const FileMember& member : members) {
    const std::string path = fmt::format("{}/function/{}", folder, member.name);
    base::WriteFileAtomic(path, member.bytes.span());
    fs::permissions(path, fs::perms(member.is_executable ? 0755 : 0644), error);
    if (error) base::ThrowErrno("change the permissions of", path, error.value());
  }
  base::WriteFileAtomic(folder + "/Dockerfile", base::AsBytes(kDockerfile));
}

}  // namespace lambdaml::package
