#include "lambdaml/faas/environment_log.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {

EnvironmentLog::EnvironmentLog(std::string path)
    : path_(std::move(path)),
      file_(::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) {
  if (file_.get() < 0) base::ThrowErrno("open log", path_, errno);
}

uint64_t EnvironmentLog::size_bytes() const {
  struct stat status = {};
  return ::fstat(file_.get(), &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
}

void EnvironmentLog::AppendLine(std::string_view line) {
  const std::string text = std::string(line) + '\n';
  [[maybe_unused]] const ssize_t written = ::write(file_.get(), text.data(), text.size());
}

std::string EnvironmentLog::Tail(uint64_t begin, size_t size_max) const {
  const uint64_t end = size_bytes();
  if (end <= begin) return {};
  const auto size = static_cast<size_t>(std::min<uint64_t>(end - begin, size_max));
  std::string text(size, '\0');
  const ssize_t count = ::pread(file_.get(), text.data(), size, static_cast<off_t>(end - size));
  text.resize(count > 0 ? static_cast<size_t>(count) : 0);
  return text;
}

}  // namespace lambdaml::faas
