// A file that is written before it has a name, and gets it in one step.
#pragma once

#include <string>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/file.h"

namespace lambdaml::store {

// Threads: one. Destroyed without a name, it leaves nothing behind; where the file system knows
// O_TMPFILE that holds for a killed process too.
class UnnamedFile {
 public:
  // Writes `bytes` to a new file on the file system of `folder`.
  // Errors: kResourceExhausted, naming the folder, if it is full; kPermissionDenied, …
  UnnamedFile(const std::string& folder, base::ByteSpan bytes);
  UnnamedFile(const UnnamedFile&) = delete;
  UnnamedFile& operator=(const UnnamedFile&) = delete;
  ~UnnamedFile();

  // Names the file `path` unless that exists (false then). Creates missing parent folders.
  bool LinkAs(const std::string& path);
  // Names the file `path`, replacing what has that name. Creates missing parent folders.
  void RenameTo(const std::string& path);

 private:
  void OpenNamed();

  std::string folder_;
  base::FileDescriptor file_;
  std::string temporary_path_;  // "" as long as the file has no name at all
};

}  // namespace lambdaml::store
