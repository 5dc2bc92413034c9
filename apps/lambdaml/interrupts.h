// Ctrl-C and SIGTERM as a flag.
#pragma once

#include <atomic>
#include <csignal>

namespace lambdaml::cli {

// While it lives, the signals set the flag, which asks a command to stop; a second one ends the
// program at once (what must be cleaned up even then, the reaper does). One at a time.
class InterruptScope {
 public:
  InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;
  ~InterruptScope();

  const std::atomic<bool>* flag() const;

 private:
  struct sigaction previous_int_ = {};
  struct sigaction previous_term_ = {};
};

}  // namespace lambdaml::cli
