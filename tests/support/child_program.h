// Runs programs as a user's shell would, and sees what they leave behind.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/child_process.h"

namespace lambdaml::test {

struct ProgramOptions {
  std::string program;  // path
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"; nothing is inherited
  std::string working_directory;
};

struct ProgramResult {
  faas::ExitStatus status;
  std::string out;
  std::string err;
  double seconds = 0;
};

// A running program whose standard output and error are kept in memory. Killed with the object.
// Threads: the one that started it.
class ChildProgram {
 public:
  explicit ChildProgram(const ProgramOptions& options);
  ChildProgram(const ChildProgram&) = delete;
  ChildProgram& operator=(const ChildProgram&) = delete;
  ~ChildProgram();

  pid_t pid() const { return pid_; }
  void Signal(int signal_number) const { process_->Signal(signal_number); }

  // What it has written so far.
  std::string out() const;
  std::string err() const;

  // Waits until the condition holds. Throws std::runtime_error, with what the program wrote, if it
  // ends before or the time is over.
  void WaitUntil(const std::function<bool()>& condition, base::Duration timeout) const;

  // Waits for its end. Throws std::runtime_error, with what it wrote, if the time is over.
  ProgramResult Wait(base::Duration timeout);

 private:
  // True if the program has ended.
  bool WaitForEnd(base::Duration timeout) const;
  [[noreturn]] void Fail(const std::string& what) const;

  const std::string command_;
  base::FileDescriptor out_;
  base::FileDescriptor err_;
  const base::TimePoint started_;
  std::unique_ptr<faas::ChildProcess> process_;
  pid_t pid_ = -1;
};

// Starts the program and waits for its end.
ProgramResult RunProgram(const ProgramOptions& options, base::Duration timeout);

// The direct children of a process that still run.
std::vector<pid_t> ChildrenOf(pid_t parent);

// The command line of a process, or "" if there is none.
std::string CommandOf(pid_t pid);

// From now on, processes that outlive the programs started here become children of this process,
// so that DescendantsLeft finds them.
void AdoptOrphans();

// Waits until this process has no child but the ChildPrograms that are still objects (servers), and
// returns the command lines of those that remain.
std::vector<std::string> DescendantsLeft(base::Duration patience);

}  // namespace lambdaml::test
