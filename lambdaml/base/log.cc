#include "lambdaml/base/log.h"

#include <atomic>
#include <fmt/format.h>
#include <unistd.h>

namespace lambdaml::base {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};

std::string_view Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

}  // namespace

void SetLogLevel(LogLevel level) { g_level = level; }

void Log(LogLevel level, std::string_view message) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  const std::string line = fmt::format("{}: {}\n", Name(level), message);
  // A log line that cannot be written (closed pipe) has nowhere else to go.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace lambdaml::base
