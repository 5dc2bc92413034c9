// The log of one execution environment: a file to which its processes' standard output and error
// and the platform's START, END and REPORT lines are appended. Costs one write(2) per line; what
// the function prints never passes through the platform.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {

class EnvironmentLog {
 public:
  // Opens or creates the file. Errors: kNotFound, kPermissionDenied, kResourceExhausted.
  explicit EnvironmentLog(std::string path);

  const std::string& path() const { return path_; }
  int descriptor() const { return file_.get(); }
  uint64_t size_bytes() const;

  // A line that cannot be written (full disk) is lost: the invocation goes on, as on Lambda.
  void AppendLine(std::string_view line);

  // The last `size_max` bytes of what was written since the log was `begin` bytes long.
  std::string Tail(uint64_t begin, size_t size_max) const;

 private:
  std::string path_;
  base::FileDescriptor file_;
};

}  // namespace lambdaml::faas
