#include "lambdaml/base/file.h"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::base {
namespace {

// Creates "<path>.<process>-<n>.tmp" with the permissions that the umask gives a new file (mkstemp
// would give 0600, and the umask cannot be read without changing it for all threads).
std::pair<std::string, int> CreateTemporaryBeside(const std::string& path) {
  static std::atomic<uint64_t> next_number{0};
  for (;;) {
    std::string temporary = fmt::format("{}.{}-{}.tmp", path, ::getpid(), next_number.fetch_add(1));
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0) return {std::move(temporary), descriptor};
    // A process of the same number that was killed may have left one.
    if (errno != EEXIST) ThrowErrno("write", path, errno);
  }
}

}  // namespace

Blob MapFile(const std::string& path, bool populate) {
  // O_NONBLOCK: opening a named pipe without a writer would wait for ever.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) ThrowErrno("open", path, errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) ThrowErrno("stat", path, errno);
  if (S_ISDIR(status.st_mode)) ThrowErrno("read", path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("read {}: not a regular file", path));
  }
  return MapDescriptor(file.get(), static_cast<size_t>(status.st_size), path, populate);
}

Blob MapDescriptor(int descriptor, size_t size, const std::string& path, bool populate) {
  if (size == 0) return Blob();
  const int flags = MAP_PRIVATE | (populate ? MAP_POPULATE : 0);
  void* address = ::mmap(nullptr, size, PROT_READ, flags, descriptor, 0);
  if (address == MAP_FAILED) ThrowErrno("map", path, errno);
  std::shared_ptr<const void> owner(
      address, [size](const void* mapped) { ::munmap(const_cast<void*>(mapped), size); });
  return Blob(ByteSpan(static_cast<const std::byte*>(address), size), std::move(owner));
}

void WriteAll(int descriptor, ByteSpan bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      ThrowErrno("write", path, errno);
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void WriteFileAtomic(const std::string& path, ByteSpan bytes) {
  AtomicFile file(path);
  file.Append(bytes);
  file.Commit();
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(path_) {
  struct stat status = {};
  if (::stat(path_.c_str(), &status) == 0) {
    // Renaming onto them would put a file in the place of /dev/null.
    if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) {
      file_ = FileDescriptor(::open(path_.c_str(), O_WRONLY | O_CLOEXEC));
      if (file_.get() < 0) ThrowErrno("write", path_, errno);
      return;
    }
    std::error_code error;
    const std::filesystem::path resolved = std::filesystem::canonical(path_, error);
    if (!error) target_ = resolved;
  }
  auto [temporary, descriptor] = CreateTemporaryBeside(target_);
  temporary_ = std::move(temporary);
  file_ = FileDescriptor(descriptor);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::Commit() {
  // Some file systems report a full disk only here.
  if (::close(file_.Release()) != 0) ThrowErrno("write", path_, errno);
  if (temporary_.empty()) return;
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) ThrowErrno("write", path_, errno);
  temporary_.clear();
}

FileDescriptor CreateFile(const std::string& path) {
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) ThrowErrno("write", path, errno);
  return file;
}

bool FileExists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) ThrowErrno("create folder", path, error.value());
}

void RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) ThrowErrno("delete folder", path, error.value());
}

TemporaryDirectory::TemporaryDirectory(const std::string& parent, std::string_view prefix)
    : path_(fmt::format("{}/{}XXXXXX", parent, prefix)) {
  if (::mkdtemp(path_.data()) == nullptr) ThrowErrno("create a folder in", parent, errno);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;  // a destructor has nobody to tell
  std::filesystem::remove_all(path_, ignored);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = other.Release();
  }
  return *this;
}

FileDescriptor::~FileDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int FileDescriptor::Release() { return std::exchange(descriptor_, -1); }

}  // namespace lambdaml::base
