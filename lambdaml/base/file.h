// Files: mapped for reading, written whole or not at all, temporary folders that go away.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/bytes.h"

namespace lambdaml::base {

// Maps a regular file for reading; an empty file gives an empty Blob. The mapping lives as long as
// the Blob. The file must not be truncated meanwhile (files of ours are replaced, never rewritten).
// populate: fault all pages in at once, which is faster when all of them are read.
// Errors: kNotFound, kPermissionDenied, kInvalidArgument (a directory).
Blob MapFile(const std::string& path, bool populate = false);
// As above, of the first `size` bytes of an open file; the descriptor may be closed afterwards.
Blob MapDescriptor(int descriptor, size_t size, const std::string& path, bool populate = false);

// Writes a file so that readers see the old content or the new, never a part: a temporary file in
// the same folder, renamed. Errors: kResourceExhausted (disk full), kPermissionDenied, kNotFound
// (no such folder); nothing is left behind then.
void WriteFileAtomic(const std::string& path, ByteSpan bytes);

// Writes all bytes to a descriptor. Errors: as write(2), naming `path`.
void WriteAll(int descriptor, ByteSpan bytes, const std::string& path);

bool FileExists(const std::string& path);

// Creates a folder and its parents if need be. Errors: kPermissionDenied, …
void MakeDirectories(const std::string& path);

// Opens a file for writing from its start, creating it if need be. Errors: kPermissionDenied,
// kNotFound (no such folder), kInvalidArgument (a directory).
class FileDescriptor;
FileDescriptor CreateFile(const std::string& path);

// Deletes a folder with all that is in it; no error if it does not exist.
void RemoveTree(const std::string& path);

// A fresh folder `<parent>/<prefix>XXXXXX`, deleted with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory(const std::string& parent, std::string_view prefix);
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A file descriptor that is closed with the object.
class FileDescriptor {
 public:
  explicit FileDescriptor(int descriptor = -1) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(other.Release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  int get() const { return descriptor_; }
  int Release();

 private:
  int descriptor_;
};

// WriteFileAtomic for content that comes in pieces: the file is there, whole, after Commit, and
// nothing is left behind without it. A symbolic link stays one: what it points to is replaced. A
// device or pipe (/dev/stdout) is written to as it is. Errors: as WriteFileAtomic.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void Append(ByteSpan bytes) { WriteAll(file_.get(), bytes, path_); }
  void Commit();

 private:
  std::string path_;
  std::string target_;     // path_ without symbolic links
  std::string temporary_;  // empty once it has its final name, and for a device or pipe
  FileDescriptor file_;
};

}  // namespace lambdaml::base
