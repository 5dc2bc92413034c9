// The store in a folder: any number of processes of one machine share it. On a memory-backed file
// system (/dev/shm) it is the fastest channel there is and needs no server.
//
// The key a/b is the file <folder>/a/b, which holds the value and nothing else. A value is written
// to a file without a name (O_TMPFILE), which vanishes if the writer dies, and gets its name in one
// step once it is complete: readers see all of it or nothing, and a file once named is never
// written again, so large values are mapped instead of copied. Where the file system knows no
// O_TMPFILE the file is called <folder>/~XXXXXX meanwhile, which is no key.
//
// Cost: Put is 4 system calls (open, write, link, close), Get 4 (open, fstat, read, close), and
// folders are created when they turn out to be missing. Nothing is synced to disk: a channel need
// not survive its machine.
//
// Wait sleeps in inotify(7) and is woken when a file appears in the folder of its key (and of no
// other), so give each reader a folder of its own. Where the kernel cannot notify (see
// FolderWatcher) it polls, every 5 ms at worst.
//
// CompareAndSwap holds an exclusive flock(2) on the key's folder, Delete and the replacing Put a
// shared one; versions are checksums of the contents. Not for NFS, where folders have no locks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/store/folder_watcher.h"
#include "lambdaml/store/meter.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

class FileStore final : public Store {
 public:
  // Creates the folder if need be. Errors: kPermissionDenied, kNotFound (a parent is a file).
  explicit FileStore(const std::string& folder);

  const Capabilities& capabilities() const override;
  const std::string& url() const override { return url_; }
  Counters counters() const override { return meter_.Read(); }

  std::optional<base::Blob> Get(const std::string& key, const base::Deadline& deadline) override;
  void Put(const std::string& key, base::ByteSpan value, const base::Deadline& deadline) override;
  bool PutIfAbsent(const std::string& key, base::ByteSpan value,
                   const base::Deadline& deadline) override;
  std::optional<VersionedValue> GetVersioned(const std::string& key,
                                             const base::Deadline& deadline) override;
  bool CompareAndSwap(const std::string& key, const std::string& version, base::ByteSpan value,
                      const base::Deadline& deadline) override;
  void Delete(std::span<const std::string> keys, const base::Deadline& deadline) override;
  std::vector<std::string> List(std::string_view prefix, const base::Deadline& deadline) override;
  // Removes folders that are empty afterwards, too.
  void DeletePrefix(std::string_view prefix, const base::Deadline& deadline) override;
  std::optional<base::Blob> Wait(const std::string& key, const base::Deadline& deadline) override;
  // Counts one read for each key, however often it was woken.
  std::vector<std::optional<base::Blob>> WaitAll(std::span<const std::string> keys,
                                                 const base::Deadline& deadline) override;

 private:
  void CheckWrite(std::string_view operation, const std::string& key, base::ByteSpan value,
                  const base::Deadline& deadline) const;
  std::string PathOf(std::string_view key) const;
  std::optional<base::Blob> Read(const std::string& key) const;
  // Watches the folders of all keys; false if one of them cannot be watched.
  bool WatchFolders(std::span<const std::string> keys);

  std::string folder_;
  std::string url_;
  Meter meter_;
  FolderWatcher watcher_;
};

}  // namespace lambdaml::store
