// The logging front: one line to standard error per event, the way CloudWatch and a terminal like
// it. Nothing secret and no payload is ever logged; a failure is thrown, not only logged.
#pragma once

#include <string_view>

namespace lambdaml::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// Lines below this level are dropped; kInfo at start.
void SetLogLevel(LogLevel level);

// Writes "LEVEL message\n" in one write(2), so that lines of threads do not mix. Threads: any.
void Log(LogLevel level, std::string_view message);

}  // namespace lambdaml::base
