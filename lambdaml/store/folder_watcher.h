// Tells waiting threads that files have appeared in folders: inotify(7) behind a mutex.
//
// One inotify instance serves all threads of a store (a user has 128 by default). At any time one
// of the waiting threads reads it for all of them, so a lone waiter costs two system calls a
// wake-up and no other thread is involved.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"

namespace lambdaml::store {

// Threads: any, at once.
//
// To wait for a file without missing it: Watch its folder, take changes(), look for the file, and
// if it is not there WaitForChange(the count taken); repeat.
class FolderWatcher {
 public:
  // Watches the folder from now on; free of charge if it is watched already. False if the kernel
  // cannot: no such folder, the limits on instances or watches are reached, or the folder's file
  // system changes without this kernel's knowledge (NFS, SMB, FUSE, 9P). The caller polls then.
  bool Watch(const std::string& folder);

  // Grows with each change seen in any watched folder.
  uint64_t changes() const;

  // Blocks until changes() exceeds `seen` or the deadline has passed.
  void WaitForChange(uint64_t seen, const base::Deadline& deadline);

 private:
  // Blocks for events and takes all that are there. Returns 0 or an errno.
  int ReadEvents(const base::Deadline& deadline, bool& changed);
  void ForgetFolder(int watch);

  mutable std::mutex mutex_;
  std::condition_variable read_done_;
  // Guarded by mutex_; the descriptor does not change once open.
  base::FileDescriptor inotify_;
  std::map<std::string, int> watch_of_folder_;
  uint64_t changes_ = 0;
  bool is_being_read_ = false;
};

}  // namespace lambdaml::store
