// Deletes a run's folders when the program ends, even by SIGKILL.
#pragma once

#include <string>
#include <sys/types.h>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {

// Why the folder must not be deleted at the end, or "" if it may. It may if it is surely the run's
// own: an absolute, plain path (no "." or ".." part, no '/' at its end) at least two levels below
// the root, and a folder that does not exist yet or holds no file so far.
std::string ReasonNotToDelete(const std::string& folder);

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

  // Marks a folder of the run before anything is put into it.
  // Errors: kInvalidArgument (ReasonNotToDelete), kUnavailable (the guardian was killed).
  void DeleteAtEnd(const std::string& folder);

 private:
  base::FileDescriptor pipe_;
  pid_t guardian_ = -1;
};

}  // namespace lambdaml::faas
