// A child process that cannot outlive its parent: own process group, killed by the kernel when the
// thread that started it ends (PR_SET_PDEATHSIG), its end seen through a pidfd.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {

struct ProcessOptions {
  std::string program;  // path
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"; the parent's is not inherited
  std::string working_directory;
  int output_descriptor = -1;  // its standard output and error; standard input is /dev/null
  int error_descriptor = -1;   // its standard error, if it is to go elsewhere
};

struct ExitStatus {
  int exit_code = 0;
  int signal = 0;  // 0: it exited by itself
  bool core_dumped = false;

  // As Lambda writes it: "exit status 3", "signal: killed", "signal: aborted (core dumped)".
  std::string ToString() const;
};

// Threads: the one that started it, which must live as long as the process is to.
class ChildProcess {
 public:
  // Starts the program with default signal handling and no other descriptors than 0, 1 and 2.
  // Errors: kNotFound, kPermissionDenied, kResourceExhausted, naming the program.
  explicit ChildProcess(const ProcessOptions& options);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  // Kills and reaps what has not been reaped.
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // Readable once the process has ended.
  int pidfd() const { return pidfd_.get(); }

  // Signals the whole process group.
  void Signal(int signal_number) const;

  // Kills what is left of the process group and waits for the process, which has ended.
  ExitStatus Reap();

  // Resident memory. Mapped files count: what a function maps on this machine it would have to hold
  // in memory on Lambda, where data come over the network. 0 once the process has ended.
  size_t ResidentBytes() const;

 private:
  pid_t pid_ = -1;  // -1 once reaped
  base::FileDescriptor pidfd_;
};

}  // namespace lambdaml::faas
