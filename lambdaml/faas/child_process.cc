#include "lambdaml/faas/child_process.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& text : strings) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// What the child needs between fork and exec, made before: no allocation is safe there.
struct ChildPlan {
  const char* program;
  const char* working_directory;
  char* const* arguments;
  char* const* environment;
  int output_descriptor;
  int error_descriptor;
  int failure_descriptor;  // close-on-exec pipe that carries errno if the program cannot start
  pid_t parent;
};

void ResetSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool PrepareDescriptors(const ChildPlan& plan, int* failure_descriptor) {
  // Out of the way of 0, 1 and 2, whatever was closed in the parent.
  const int output = ::fcntl(plan.output_descriptor, F_DUPFD_CLOEXEC, 10);
  const int error = ::fcntl(plan.error_descriptor, F_DUPFD_CLOEXEC, 10);
  *failure_descriptor = ::fcntl(plan.failure_descriptor, F_DUPFD_CLOEXEC, 10);
  if (output < 0 || error < 0 || *failure_descriptor < 0) return false;
  const int null_input = ::open("/dev/null", O_RDONLY);
  if (null_input < 0) return false;
  if (::dup2(null_input, STDIN_FILENO) < 0 || ::dup2(output, STDOUT_FILENO) < 0 ||
      ::dup2(error, STDERR_FILENO) < 0) {
    return false;
  }
  return ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

// Runs in the child, between fork and exec: async-signal-safe calls only.
[[noreturn]] void RunChild(const ChildPlan& plan) {
  int failure_descriptor = plan.failure_descriptor;
  ::setpgid(0, 0);
  const bool tied = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (::getppid() != plan.parent) ::_exit(127);  // it ended before the tie was made
  if (tied && PrepareDescriptors(plan, &failure_descriptor) &&
      ::chdir(plan.working_directory) == 0) {
    ResetSignals();
    ::execve(plan.program, plan.arguments, plan.environment);
  }
  const int errno_value = errno;
  [[maybe_unused]] const ssize_t written =
      ::write(failure_descriptor, &errno_value, sizeof(errno_value));
  ::_exit(127);
}

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return fmt::format("exit status {}", exit_code);
  const char* description = ::sigdescr_np(signal);
  std::string name = description != nullptr ? description : fmt::format("signal {}", signal);
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return fmt::format("signal: {}{}", name, core_dumped ? " (core dumped)" : "");
}

ChildProcess::ChildProcess(const ProcessOptions& options) {
  std::vector<std::string> arguments = {options.program};
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  const std::vector<char*> argument_pointers = Pointers(arguments);
  const std::vector<char*> environment_pointers = Pointers(options.environment);
  std::array<int, 2> ends = {-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) base::ThrowErrno("start", options.program, errno);
  const base::FileDescriptor read_end(ends[0]);
  base::FileDescriptor write_end(ends[1]);
  const ChildPlan plan = {.program = options.program.c_str(),
                          .working_directory = options.working_directory.c_str(),
                          .arguments = argument_pointers.data(),
                          .environment = environment_pointers.data(),
                          .output_descriptor = options.output_descriptor,
                          .error_descriptor = options.error_descriptor >= 0
                                                  ? options.error_descriptor
                                                  : options.output_descriptor,
                          .failure_descriptor = write_end.get(),
                          .parent = ::getpid()};
  // A signal handler of this program must not run in the child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_ = ::fork();
  if (pid_ == 0) RunChild(plan);
  const int fork_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid_ < 0) base::ThrowErrno("start", options.program, fork_errno);

  ::setpgid(pid_, pid_);  // also here, so that Signal works at once; fails after the exec, rightly
  // glibc 2.36 declares pidfd_open without C linkage. The descriptor is close-on-exec
  // (pidfd_open(2)).
  pidfd_ = base::FileDescriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  const int pidfd_errno = errno;
  write_end = base::FileDescriptor();
  int exec_errno = 0;
  ssize_t count = 0;
  do {
    count = ::read(read_end.get(), &exec_errno, sizeof(exec_errno));
  } while (count < 0 && errno == EINTR);
  if (count == 0 && pidfd_.get() >= 0) return;
  const int failure = count > 0 ? exec_errno : pidfd_errno;
  ::kill(-pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
  base::ThrowErrno("start", options.program, failure);
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) Reap();
}

void ChildProcess::Signal(int signal_number) const {
  if (pid_ > 0) ::kill(-pid_, signal_number);
}

ExitStatus ChildProcess::Reap() {
  // Before the wait, while the number cannot have been given to another process.
  ::kill(-pid_, SIGKILL);
  siginfo_t info = {};
  int result = 0;
  do {
    result = ::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  } while (result != 0 && errno == EINTR);
  if (result != 0) base::ThrowErrno("wait for", fmt::format("process {}", pid_), errno);
  pid_ = -1;
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.exit_code = info.si_status;
  } else {
    status.signal = info.si_status;
    status.core_dumped = info.si_code == CLD_DUMPED;
  }
  return status;
}

size_t ChildProcess::ResidentBytes() const {
  if (pid_ <= 0) return 0;
  const std::string path = fmt::format("/proc/{}/statm", pid_);
  const base::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text = {};
  if (file.get() < 0 || ::read(file.get(), text.data(), text.size() - 1) <= 0) return 0;
  unsigned long long resident = 0;
  if (std::sscanf(text.data(), "%*u %llu", &resident) != 1) return 0;
  return resident * static_cast<unsigned long long>(::sysconf(_SC_PAGESIZE));
}

}  // namespace lambdaml::faas
