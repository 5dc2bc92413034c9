#include "lambdaml/store/unnamed_file.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

// Runs a system call that names a file; when a folder of `path` is missing, creates it and tries
// again. Several times, because the end of a job may delete folders meanwhile. Returns 0 or errno.
template <typename Call>
int WithParentFolders(const std::string& path, Call call) {
  constexpr int kAttemptsMax = 100;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    if (call() == 0) return 0;
    if (errno != ENOENT) return errno;
    base::MakeDirectories(std::filesystem::path(path).parent_path().string());
  }
  return ENOENT;
}

std::string DescriptorPath(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

[[noreturn]] void ThrowWriteError(const std::string& folder, const base::Error& error) {
  if (error.code() != base::ErrorCode::kResourceExhausted) throw error;
  throw base::Error(error.code(),
                    fmt::format("{}; free space in {}, or choose another folder for the channel",
                                error.message(), folder));
}

}  // namespace

UnnamedFile::UnnamedFile(const std::string& folder, base::ByteSpan bytes) : folder_(folder) {
  file_ = base::FileDescriptor(::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
  if (file_.get() < 0) {
    // EISDIR: a kernel that does not know O_TMPFILE; EOPNOTSUPP: a file system that does not.
    if (errno != EOPNOTSUPP && errno != EISDIR) {
      base::ThrowErrno("create a file in", folder, errno);
    }
    OpenNamed();
  }
  try {
    base::WriteAll(file_.get(), bytes, folder);
  } catch (const base::Error& error) {
    if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
    ThrowWriteError(folder, error);
  }
}

UnnamedFile::~UnnamedFile() {
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

void UnnamedFile::OpenNamed() {
  temporary_path_ = folder_ + "/~XXXXXX";
  file_ = base::FileDescriptor(::mkostemp(temporary_path_.data(), O_CLOEXEC));
  if (file_.get() < 0) base::ThrowErrno("create a file in", folder_, errno);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file_.get(), 0666 & ~mask) != 0) base::ThrowErrno("chmod in", folder_, errno);
}

bool UnnamedFile::LinkAs(const std::string& path) {
  const std::string from = temporary_path_.empty() ? DescriptorPath(file_.get()) : temporary_path_;
  const int error = WithParentFolders(path, [&] {
    return ::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  });
  if (error == EEXIST) return false;
  if (error != 0) base::ThrowErrno("create", path, error);
  return true;
}

void UnnamedFile::RenameTo(const std::string& path) {
  if (temporary_path_.empty()) {
    // Only a file that has a name can replace another; it has this one for a moment. The number
    // of a process is not unique where containers share the folder, so a name may be taken.
    static std::atomic<uint64_t> sequence{0};
    std::string name;
    do {
      name = fmt::format("{}/~{}.{}", folder_, ::getpid(), sequence.fetch_add(1));
    } while (!LinkAs(name));
    temporary_path_ = std::move(name);
  }
  const int error =
      WithParentFolders(path, [&] { return ::rename(temporary_path_.c_str(), path.c_str()); });
  if (error != 0) base::ThrowErrno("create", path, error);
  temporary_path_.clear();
}

}  // namespace lambdaml::store
