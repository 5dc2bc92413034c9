#include "lambdaml/store/file_store.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/checksum.h"
#include "lambdaml/base/error.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/unnamed_file.h"

namespace lambdaml::store {
namespace {

// From here on mapping a file is cheaper than reading it into fresh memory.
constexpr size_t kMappedSizeMinBytes = 64 << 10;
constexpr base::Duration kPollIntervalMin = std::chrono::microseconds(100);
constexpr base::Duration kPollIntervalMax = std::chrono::milliseconds(5);

constexpr Capabilities kCapabilities = {.service = "file",
                                        .value_size_max_bytes = uint64_t{1} << 40,
                                        .can_put_if_absent = true,
                                        .can_compare_and_swap = true,
                                        .can_list = true,
                                        .has_native_wait = true};

std::string AbsolutePath(const std::string& folder) {
  std::error_code error;
  std::string path = std::filesystem::absolute(folder, error).lexically_normal().string();
  if (error) base::ThrowErrno("find", folder, error.value());
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

base::Blob ReadWhole(int descriptor, size_t size, const std::string& path) {
  base::Bytes bytes(size);
  size_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(descriptor, bytes.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) base::ThrowErrno("read", path, errno);
    if (count == 0) {
      throw base::Error(base::ErrorCode::kCorrupt, fmt::format("read {}: it was truncated", path));
    }
    done += static_cast<size_t>(count);
  }
  return base::Blob(std::move(bytes));
}

// Sleeps longer and longer, never past the deadline.
class PollPause {
 public:
  void Sleep(const base::Deadline& deadline) {
    deadline.clock().SleepFor(std::clamp(deadline.Remaining(), base::Duration::zero(), interval_));
    interval_ = std::min(interval_ * 2, kPollIntervalMax);
  }

 private:
  base::Duration interval_ = kPollIntervalMin;
};

// Holds flock(2) on a folder as long as it lives; holds nothing if the folder does not exist.
class FolderLock {
 public:
  FolderLock(const std::string& folder, int operation, const base::Deadline& deadline)
      : folder_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (folder_.get() < 0) {
      if (errno == ENOENT || errno == ENOTDIR) return;
      base::ThrowErrno("open", folder, errno);
    }
    // flock(2) has no time-out, so a holder that is stopped would stop us: try and sleep instead.
    PollPause pause;
    while (::flock(folder_.get(), operation | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) base::ThrowErrno("lock", folder, errno);
      if (deadline.Expired()) {
        throw base::Error(base::ErrorCode::kDeadlineExceeded,
                          fmt::format("lock {}: another process holds it", folder));
      }
      pause.Sleep(deadline);
    }
  }

 private:
  base::FileDescriptor folder_;
};

std::string ParentOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

// Removes the folder and the folders in it, as far as they are empty.
void RemoveEmptyFolders(const std::filesystem::path& folder) {
  std::error_code ignored;  // a folder that is not empty, or gone, or locked, stays
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    if (entry.is_directory(ignored) && !entry.is_symlink(ignored)) {
      RemoveEmptyFolders(entry.path());
    }
  }
  ::rmdir(folder.c_str());
}

}  // namespace

FileStore::FileStore(const std::string& folder)
    : folder_(AbsolutePath(folder)), url_("file://" + folder_) {
  base::MakeDirectories(folder_);
}

const Capabilities& FileStore::capabilities() const { return kCapabilities; }

std::optional<base::Blob> FileStore::Get(const std::string& key, const base::Deadline& deadline) {
  CheckKey(key);
  CheckDeadline("get", key, deadline);
  meter_.CountGet();
  auto value = Read(key);
  if (value) meter_.CountBytesRead(value->size());
  return value;
}

void FileStore::Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) {
  CheckWrite("put", key, value, deadline);
  meter_.CountPut(value.size());
  const std::string path = PathOf(key);
  UnnamedFile file(folder_, value);
  if (file.LinkAs(path)) return;
  const FolderLock lock(ParentOf(path), LOCK_SH, deadline);
  file.RenameTo(path);
}

bool FileStore::PutIfAbsent(const std::string& key, base::ByteSpan value,
                            const base::Deadline& deadline) {
  CheckWrite("create", key, value, deadline);
  meter_.CountPut(value.size());
  const std::string path = PathOf(key);
  if (base::FileExists(path)) return false;
  return UnnamedFile(folder_, value).LinkAs(path);
}

std::optional<VersionedValue> FileStore::GetVersioned(const std::string& key,
                                                      const base::Deadline& deadline) {
  auto value = Get(key, deadline);
  if (!value) return std::nullopt;
  std::string version = base::ChecksumHex(base::Checksum64(value->span()));
  return VersionedValue{std::move(*value), std::move(version)};
}

bool FileStore::CompareAndSwap(const std::string& key, const std::string& version,
                               base::ByteSpan value, const base::Deadline& deadline) {
  CheckWrite("compare-and-swap", key, value, deadline);
  meter_.CountPut(value.size());
  const std::string path = PathOf(key);
  const FolderLock lock(ParentOf(path), LOCK_EX, deadline);
  const auto present = Read(key);
  if (!present || base::ChecksumHex(base::Checksum64(present->span())) != version) return false;
  UnnamedFile(folder_, value).RenameTo(path);
  return true;
}

void FileStore::Delete(std::span<const std::string> keys, const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  if (!keys.empty()) CheckDeadline("delete", keys.front(), deadline);
  meter_.CountDelete(keys.size());
  for (size_t begin = 0; begin < keys.size();) {
    const std::string_view folder = FolderOf(keys[begin]);
    const FolderLock lock(ParentOf(PathOf(keys[begin])), LOCK_SH, deadline);
    for (; begin < keys.size() && FolderOf(keys[begin]) == folder; ++begin) {
      const std::string path = PathOf(keys[begin]);
      if (::unlink(path.c_str()) == 0) continue;
      // EISDIR: what has this name is a folder of keys, so the key itself is missing.
      if (errno != ENOENT && errno != ENOTDIR && errno != EISDIR) {
        base::ThrowErrno("delete", path, errno);
      }
    }
  }
}

std::vector<std::string> FileStore::List(std::string_view prefix, const base::Deadline& deadline) {
  CheckDeadline("list", prefix, deadline);
  meter_.CountList();
  namespace fs = std::filesystem;
  const std::string_view folder = FolderOf(prefix);
  if (!folder.empty()) CheckKey(folder);
  const std::string start = folder.empty() ? folder_ : PathOf(folder);

  std::vector<std::string> keys;
  std::error_code error;
  fs::recursive_directory_iterator entry(start, fs::directory_options::none, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code gone;  // a file that is deleted meanwhile is not listed
    if (!entry->is_regular_file(gone)) continue;
    std::string key = entry->path().string().substr(folder_.size() + 1);
    if (key.starts_with(prefix) && IsKey(key)) keys.push_back(std::move(key));
  }
  if (error && error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    base::ThrowErrno("list", start, error.value());
  }
  std::ranges::sort(keys);
  return keys;
}

void FileStore::DeletePrefix(std::string_view prefix, const base::Deadline& deadline) {
  Store::DeletePrefix(prefix, deadline);
  const std::string_view folder = FolderOf(prefix);
  if (!folder.empty()) RemoveEmptyFolders(PathOf(folder));
}

std::optional<base::Blob> FileStore::Wait(const std::string& key, const base::Deadline& deadline) {
  return std::move(WaitAll(std::span(&key, 1), deadline).front());
}

std::vector<std::optional<base::Blob>> FileStore::WaitAll(std::span<const std::string> keys,
                                                          const base::Deadline& deadline) {
  for (const std::string& key : keys) CheckKey(key);
  meter_.CountGet(keys.size());
  const base::TimePoint start = deadline.clock().Now();
  std::vector<std::optional<base::Blob>> values(keys.size());
  PollPause pause;
  while (true) {
    // The order matters: what appears after this look is a change after `seen`.
    const bool is_notified = WatchFolders(keys);
    const uint64_t seen = watcher_.changes();
    size_t missing_count = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (!values[i]) values[i] = Read(keys[i]);
      if (!values[i]) ++missing_count;
    }
    if (missing_count == 0 || deadline.Expired()) break;
    if (is_notified) {
      watcher_.WaitForChange(seen, deadline);
    } else {
      pause.Sleep(deadline);
    }
  }
  meter_.CountWaiting(deadline.clock().Now() - start);
  for (const auto& value : values) meter_.CountBytesRead(value ? value->size() : 0);
  return values;
}

void FileStore::CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                           const base::Deadline& deadline) const {
  CheckKey(key);
  CheckValueSize(key, value);
  CheckDeadline(operation, key, deadline);
}

std::string FileStore::PathOf(std::string_view key) const {
  return fmt::format("{}/{}", folder_, key);
}

std::optional<base::Blob> FileStore::Read(const std::string& key) const {
  const std::string path = PathOf(key);
  const base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    base::ThrowErrno("open", path, errno);
  }
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) base::ThrowErrno("stat", path, errno);
  if (!S_ISREG(status.st_mode)) return std::nullopt;  // a folder of keys is no value
  const auto size = static_cast<size_t>(status.st_size);
  return size < kMappedSizeMinBytes ? ReadWhole(file.get(), size, path)
                                    : base::MapDescriptor(file.get(), size, path, true);
}

bool FileStore::WatchFolders(std::span<const std::string> keys) {
  std::string_view last;
  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string_view folder = FolderOf(keys[i]);
    if (i > 0 && folder == last) continue;
    last = folder;
    const std::string path = folder.empty() ? folder_ : PathOf(folder);
    if (watcher_.Watch(path)) continue;
    base::MakeDirectories(path);
    if (!watcher_.Watch(path)) return false;
  }
  return true;
}

}  // namespace lambdaml::store
