#include "lambdaml/train/run_directory.h"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/units.h"

namespace lambdaml::train {
namespace {

uint64_t FreeBytes(const std::string& folder) {
  struct statvfs status = {};
  if (::access(folder.c_str(), W_OK) != 0 || ::statvfs(folder.c_str(), &status) != 0) return 0;
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

std::string ChooseParent(const std::string& parent, uint64_t bytes_needed) {
  if (!parent.empty()) return parent;
  const char* tmpdir = std::getenv("TMPDIR");
  const std::string temporary = tmpdir != nullptr && *tmpdir != 0 ? tmpdir : "/tmp";
  for (const char* candidate : {"/dev/shm", temporary.c_str()}) {
    if (FreeBytes(candidate) >= bytes_needed) return candidate;
  }
  throw base::Error(
      base::ErrorCode::kResourceExhausted,
      fmt::format("the run needs about {} of temporary space; /dev/shm has {} and {} has {} free: "
                  "set TMPDIR to a folder with more",
                  base::FormatBytes(bytes_needed), base::FormatBytes(FreeBytes("/dev/shm")),
                  temporary, base::FormatBytes(FreeBytes(temporary))));
}

}  // namespace

RunDirectory::RunDirectory(const std::string& parent, uint64_t bytes_needed)
    : directory_(ChooseParent(parent, bytes_needed), "lambdaml-") {
  base::MakeDirectories(shards());
  base::MakeDirectories(channel());
  base::MakeDirectories(functions());
}

std::string RunDirectory::job_id() const { return std::filesystem::path(path()).filename(); }

}  // namespace lambdaml::train
