// Deletes a run's folders when the program ends, even by SIGKILL.
#pragma once

#include <string>
#include <sys/types.h>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {

// A guardian process in its own session that sleeps on a pipe from this program and, when the pipe
// closes, deletes the folders it was told of and exits. It holds none of this program's other
// descriptors, working folder or signals, so it hinders neither shells nor unmounting. Function
// processes need no guardian: the kernel kills them with their parent.
// Threads: one at a time.
class Reaper {
 public:
  // Forks: call before the program has other threads. Errors: kResourceExhausted.
  Reaper();
  Reaper(const Reaper&) = delete;
  Reaper& operator=(const Reaper&) = delete;
  // Has what still exists of the folders deleted and waits for it.
  ~Reaper();

  // Marks a folder, which need not exist yet. Errors: kInvalidArgument (not an absolute path below
  // a top-level folder, which nobody means to delete), kUnavailable (the guardian was killed).
  void DeleteAtEnd(const std::string& folder);

 private:
  base::FileDescriptor pipe_;
  pid_t guardian_ = -1;
};

}  // namespace lambdaml::faas
