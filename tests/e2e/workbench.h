// What every end-to-end test stands on: a folder to work in, the programs, and the rule that no run
// leaves a process or a file behind.
#pragma once

#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"

#include "support/child_program.h"

namespace lambdaml::test {

using Arguments = std::vector<std::string>;

// Arguments put together from parts: Join({"train"}, quick, {"--seed", "7"}).
template <typename... Parts>
Arguments Join(Arguments first, const Parts&... parts) {
  (first.insert(first.end(), parts.begin(), parts.end()), ...);
  return first;
}

struct Outcome {
  int exit_code = 0;  // 128 + n: ended by signal n, as shells say it
  std::string out;
  std::string err;
  double seconds = 0;
};

// A fixture whose test works in a folder of its own, with a TMPDIR of its own in it.
class Workbench : public ::testing::Test {
 protected:
  Workbench();
  void TearDown() override;

  const std::string& folder() const { return folder_.path(); }
  std::string Path(std::string_view name) const;
  bool Exists(std::string_view name) const;
  std::string Read(std::string_view name) const;
  std::vector<std::string> ReadLines(std::string_view name) const;
  void Write(std::string_view name, std::string_view text) const;  // makes folders if need be
  // Names of all files and folders, for "nothing was written".
  std::vector<std::string> Listing() const;

  // Runs `lambdaml` in the folder and checks that it left nothing behind but what it should.
  Outcome Run(const Arguments& arguments) const;
  // Run, with a failure unless it succeeds without a word on standard error. Returns what it
  // printed.
  std::string Succeed(const Arguments& arguments) const;
  // Run, with a failure unless it ends with the exit code and one line on standard error that
  // contains all of `said`, prints no result, and writes no file.
  void Refuse(const Arguments& arguments, int exit_code,
              std::initializer_list<std::string_view> said) const;

  // A line of shell, in which $LAMBDAML is the program.
  Outcome RunShell(const std::string& script) const;
  // Another program of the machine, in the folder. Adds a failure unless it succeeds.
  std::string RunTool(const std::string& program, const Arguments& arguments) const;

  // For tests that do something to a running `lambdaml`; call ExpectNothingLeft when it has ended.
  std::unique_ptr<ChildProgram> Start(const Arguments& arguments) const;
  // The processes of the functions that a `lambdaml` runs on this machine, or another process.
  static std::vector<pid_t> WorkersOf(const ChildProgram& run) { return WorkersOf(run.pid()); }
  static std::vector<pid_t> WorkersOf(pid_t parent);
  // Adds a failure for each process, run folder and temporary file still there when `patience` is
  // over.
  void ExpectNothingLeft(base::Duration patience = base::Duration::zero()) const;

  // `evaluate MODEL --data DATA --json`.
  base::Json Evaluate(std::string_view model, std::string_view data) const;
  // The records of a --log file.
  std::vector<base::Json> Log(std::string_view name) const;

  // Sets a variable of the environment that programs see.
  void SetEnvironment(const std::string& name, const std::string& value);

 private:
  ProgramOptions Program(const std::string& program, const Arguments& arguments) const;
  Outcome WaitFor(ChildProgram& program) const;
  // What lies in /dev/shm and below, but for what was there before the test: that of its servers.
  std::vector<std::string> LeftInSharedMemory() const;

  base::TemporaryDirectory folder_;
  std::string temporary_;
  std::vector<std::string> shared_memory_before_;
  std::map<std::string, std::string> environment_;
};

// The longest any run here may take before it counts as hanging.
base::Duration RunTimeout();

// The processes of the functions that a `lambdaml` runs.
std::vector<pid_t> WorkersOf(const ChildProgram& run);

// Whether the test program has a mount table of its own, hence its own /dev/shm, and may mount.
bool HasOwnMounts();

// Runs named variants of one test: all of them, though some fail, and says at the end which did.
class Variants {
 public:
  Variants() = default;
  Variants(const Variants&) = delete;
  Variants& operator=(const Variants&) = delete;
  ~Variants();

  void Try(const std::string& name, const std::function<void()>& body);

 private:
  int tried_count_ = 0;
  std::vector<std::string> failed_;
};

}  // namespace lambdaml::test
