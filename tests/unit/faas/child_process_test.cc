#include "lambdaml/faas/child_process.h"

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sstream>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

class ChildProcessTest : public ::testing::Test {
 protected:
  ProcessOptions Shell(const std::string& script) const {
    return {.program = "/bin/sh",
            .arguments = {"-c", script},
            .environment = {"ONLY=this", "PATH=/usr/bin:/bin"},
            .working_directory = "/",
            .output_descriptor = output_.get()};
  }

  ExitStatus Run(const std::string& script) const {
    ChildProcess process(Shell(script));
    WaitForEnd(process);
    return process.Reap();
  }

  static void WaitForEnd(const ChildProcess& process) {
    pollfd entry = {.fd = process.pidfd(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&entry, 1, 20'000), 1);
  }

  std::string Output() const {
    std::ostringstream text;
    text << std::ifstream(path()).rdbuf();
    return text.str();
  }
  std::string path() const { return folder_.path() + "/output"; }

  base::TemporaryDirectory folder_{std::filesystem::temp_directory_path().string(), "faas-"};
  base::FileDescriptor output_{::open(path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666)};
};

TEST_F(ChildProcessTest, TheExitStatusIsReported) {
  EXPECT_EQ(Run("exit 0").ToString(), "exit status 0");
  EXPECT_EQ(Run("exit 3").ToString(), "exit status 3");
}

TEST_F(ChildProcessTest, TheSignalIsReportedAsLambdaNamesIt) {
  EXPECT_EQ(Run("kill -KILL $$").ToString(), "signal: killed");
  EXPECT_EQ(Run("ulimit -c 0; kill -SEGV $$").ToString(), "signal: segmentation fault");
  EXPECT_EQ((ExitStatus{.exit_code = 0, .signal = SIGABRT, .core_dumped = true}).ToString(),
            "signal: aborted (core dumped)");
}

TEST_F(ChildProcessTest, OutputAndErrorsGoToTheDescriptorAndInputIsEmpty) {
  Run("cat; echo out; echo err >&2");
  EXPECT_EQ(Output(), "out\nerr\n");
}

TEST_F(ChildProcessTest, NothingIsInheritedButTheEnvironmentGiven) {
  const base::FileDescriptor leak(::open("/dev/null", O_RDONLY));  // without close-on-exec
  Run("echo $ONLY $HOME; ls /proc/self/fd | wc -l; pwd");
  EXPECT_EQ(Output(), "this\n4\n/\n");  // 0, 1, 2 and the folder that ls reads
}

TEST_F(ChildProcessTest, IgnoredAndBlockedSignalsAreResetForTheChild) {
  ::signal(SIGUSR1, SIG_IGN);
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  EXPECT_EQ(Run("kill -USR1 $$; exit 0").signal, SIGUSR1);
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  ::signal(SIGUSR1, SIG_DFL);
}

TEST_F(ChildProcessTest, AProgramThatCannotStartIsAnErrorThatNamesIt) {
  ProcessOptions options = Shell("");
  options.program = "/does/not/exist";
  try {
    ChildProcess process(options);
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_EQ(error.message(), "start /does/not/exist: No such file or directory");
  }
  options.program = "/etc/passwd";
  EXPECT_THROW(ChildProcess{options}, base::Error);
  options = Shell("");
  options.working_directory = "/does/not/exist";
  EXPECT_THROW(ChildProcess{options}, base::Error);
}

TEST_F(ChildProcessTest, SignalReachesTheWholeGroup) {
  ChildProcess process(Shell("sleep 60 & wait"));
  process.Signal(SIGTERM);
  WaitForEnd(process);
  EXPECT_EQ(process.Reap().signal, SIGTERM);
}

TEST_F(ChildProcessTest, TheDestructorLeavesNoProcess) {
  pid_t pid = -1;
  {
    const ChildProcess process(Shell("trap '' TERM; sleep 60"));
    pid = process.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

TEST_F(ChildProcessTest, MemoryIsZeroOnceTheProcessHasEnded) {
  ChildProcess process(Shell("read line"));
  WaitForEnd(process);
  EXPECT_EQ(process.ResidentBytes(), 0U);
  process.Reap();
  EXPECT_EQ(process.ResidentBytes(), 0U);
}

}  // namespace
}  // namespace lambdaml::faas
