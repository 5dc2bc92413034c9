// The `bootstrap` of a packaged worker: starts the worker by the dynamic loader and with the
// libraries that the package brings along, whatever the system has. Linked statically, because
// nothing else may be there; so it does the least that can be done.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <sys/auxv.h>
#include <unistd.h>

namespace {

constexpr size_t kPathBytesMax = 4096;
constexpr int kArgumentsMax = 64;
using Path = std::array<char, kPathBytesMax>;

// folder + name; a path that does not fit is empty, so that using it fails.
Path Beside(std::string_view folder, const char* name) {
  Path path = {};
  const int size = std::snprintf(path.data(), path.size(), "%.*s/%s",
                                 static_cast<int>(folder.size()), folder.data(), name);
  if (size >= static_cast<int>(path.size())) path[0] = '\0';
  return path;
}

// The folder of this program, as it was started (/proc may be missing).
std::string_view OwnFolder() {
  // The kernel hands pointers over as numbers. NOLINTNEXTLINE(performance-no-int-to-ptr)
  const std::string_view self = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  const size_t slash = self.rfind('/');
  return slash == self.npos ? "." : self.substr(0, slash);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view folder = OwnFolder();
  Path loader = Beside(folder, "lib/ld-linux-x86-64.so.2");
  Path libraries = Beside(folder, "lib");
  Path worker = Beside(folder, "lambdaml-worker");
  const Path certificates = Beside(folder, "ca-certificates.crt");
  ::setenv("SSL_CERT_FILE", certificates.data(), /*overwrite=*/0);

  // The cache of the system's own libraries says nothing about those of the package.
  std::array<char, 20> inhibit_cache = {"--inhibit-cache"};
  std::array<char, 20> library_path = {"--library-path"};
  std::array<char*, kArgumentsMax + 6> arguments = {
      loader.data(), inhibit_cache.data(), library_path.data(), libraries.data(), worker.data()};
  size_t count = 5;
  for (int i = 1; i < argc && i <= kArgumentsMax; ++i) arguments[count++] = argv[i];
  ::execv(loader.data(), arguments.data());
  std::fprintf(stderr, "bootstrap: cannot start %s: %s\n", loader.data(), std::strerror(errno));
  return 127;
}
