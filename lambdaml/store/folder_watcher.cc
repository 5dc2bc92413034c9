#include "lambdaml/store/folder_watcher.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/magic.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

// File systems that others change without this kernel noticing; <linux/magic.h> lacks two of them.
bool IsChangedBehindTheKernel(const std::string& folder) {
  constexpr std::array<unsigned long, 6> kRemote = {
      NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC,         V9FS_MAGIC,
      FUSE_SUPER_MAGIC, 0xFF534D42UL /* CIFS */, 0xFE534D42UL /* SMB2 */};
  struct statfs status = {};
  if (::statfs(folder.c_str(), &status) != 0) return true;
  const auto type = static_cast<unsigned long>(status.f_type) & 0xFFFFFFFFUL;
  return std::ranges::find(kRemote, type) != kRemote.end();
}

}  // namespace

bool FolderWatcher::Watch(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  if (watch_of_folder_.contains(folder)) return true;
  if (IsChangedBehindTheKernel(folder)) return false;
  if (inotify_.get() < 0) {
    inotify_ = base::FileDescriptor(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (inotify_.get() < 0) return false;
  }
  const int watch =
      ::inotify_add_watch(inotify_.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
  if (watch < 0) return false;
  watch_of_folder_[folder] = watch;
  return true;
}

uint64_t FolderWatcher::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void FolderWatcher::WaitForChange(uint64_t seen, const base::Deadline& deadline) {
  std::unique_lock lock(mutex_);
  while (changes_ == seen && !deadline.Expired()) {
    if (is_being_read_) {
      // An hour at most, because the sum of now and a far deadline overflows.
      read_done_.wait_for(lock,
                          std::min<base::Duration>(deadline.Remaining(), std::chrono::hours(1)));
      continue;
    }
    is_being_read_ = true;
    lock.unlock();
    bool changed = false;
    const int error = ReadEvents(deadline, changed);
    lock.lock();
    is_being_read_ = false;
    if (changed) ++changes_;
    read_done_.notify_all();  // for the news, or to take over the reading
    if (error != 0) base::ThrowErrno("wait for changes in", "the store's folder", error);
  }
}

int FolderWatcher::ReadEvents(const base::Deadline& deadline, bool& changed) {
  pollfd ready = {.fd = inotify_.get(), .events = POLLIN, .revents = 0};
  const int count = ::poll(&ready, 1, deadline.RemainingPollMs());
  if (count == 0) return 0;
  if (count < 0) return errno == EINTR ? 0 : errno;

  alignas(inotify_event) std::array<char, 16384> buffer;
  const ssize_t size = ::read(ready.fd, buffer.data(), buffer.size());
  if (size < 0) return errno == EINTR || errno == EAGAIN ? 0 : errno;
  changed =
      true;  // a full queue (IN_Q_OVERFLOW) is a change like any other: the waiters look again
  for (size_t offset = 0; offset < static_cast<size_t>(size);) {
    inotify_event event = {};
    std::memcpy(&event, buffer.data() + offset, sizeof(event));
    if ((event.mask & IN_IGNORED) != 0) ForgetFolder(event.wd);
    offset += sizeof(event) + event.len;
  }
  return 0;
}

// The folder was deleted and the kernel has dropped its watch; whoever waits there watches anew.
void FolderWatcher::ForgetFolder(int watch) {
  const std::lock_guard lock(mutex_);
  std::erase_if(watch_of_folder_, [watch](const auto& entry) { return entry.second == watch; });
}

}  // namespace lambdaml::store
