#include "lambdaml/base/file.h"

#include <cerrno>
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

Blob MapFile(const std::string& path, bool populate) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) ThrowErrno("open", path, errno);
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) ThrowErrno("stat", path, errno);
  if (S_ISDIR(status.st_mode)) ThrowErrno("read", path, EISDIR);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("read {}: not a regular file", path));
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return Blob();
  const int flags = MAP_PRIVATE | (populate ? MAP_POPULATE : 0);
  void* address = ::mmap(nullptr, size, PROT_READ, flags, file.get(), 0);
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
  std::string temporary = path + ".XXXXXX";
  FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) ThrowErrno("write", path, errno);
  try {
    WriteAll(file.get(), bytes, path);
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(file.get(), 0666 & ~mask) != 0) ThrowErrno("write", path, errno);
    // Some file systems report a full disk only here.
    if (::close(file.Release()) != 0) ThrowErrno("write", path, errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) ThrowErrno("write", path, errno);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
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
