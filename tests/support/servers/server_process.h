// A real server that a test starts on a free loopback port, and that ends with the object.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/clock.h"

#include "support/child_program.h"

namespace lambdaml::test {

// A TCP port of 127.0.0.1 that nobody listened on a moment ago, outside the range from which
// outgoing connections are given theirs.
int FreePort();

// Whether somebody accepts connections on that port of 127.0.0.1.
bool AcceptsConnections(int port);

// The path of a program in PATH or the usual folders of servers. Throws std::runtime_error, naming
// it, if it is not installed: tests ask IsInstalled first, and call GTEST_SKIP().
std::string FindProgram(const std::string& name);
bool IsInstalled(const std::string& name);

// One server process. Threads: one.
class ServerProcess {
 public:
  // Starts the program and waits until `is_ready` holds. Throws std::runtime_error, with what it
  // wrote, if it ends before or is not ready in time.
  ServerProcess(ProgramOptions options, std::function<bool()> is_ready);

  pid_t pid() const { return child_->pid(); }

  // Ends it at once (SIGKILL), as a crash does; or asks first (SIGTERM).
  void Kill();
  void Stop();
  // The same program with the same options again, after Kill or Stop.
  void Start();

  // SIGSTOP and SIGCONT: a server that answers nothing, once Pause has returned, and its return.
  void Pause() const;
  void Resume() const;

 private:
  ProgramOptions options_;
  std::function<bool()> is_ready_;
  std::unique_ptr<ChildProgram> child_;
};

}  // namespace lambdaml::test
