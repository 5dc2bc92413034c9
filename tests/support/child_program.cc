#include "support/child_program.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fstream>
#include <mutex>
#include <poll.h>
#include <set>
#include <sstream>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "lambdaml/base/error.h"

namespace lambdaml::test {
namespace {

constexpr base::Duration kPollInterval = std::chrono::milliseconds(2);

base::FileDescriptor MakeCapture(const char* name) {
  base::FileDescriptor capture(::memfd_create(name, MFD_CLOEXEC));
  if (capture.get() < 0) base::ThrowErrno("create", name, errno);
  return capture;
}

std::string ReadCapture(int descriptor) {
  struct stat status = {};
  if (::fstat(descriptor, &status) != 0) base::ThrowErrno("read", "captured output", errno);
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t count = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return text;
}

// The processes of the ChildPrograms that are objects.
std::mutex g_programs_mutex;
std::set<pid_t> g_programs;

bool IsChildProgram(pid_t pid) {
  const std::lock_guard lock(g_programs_mutex);
  return g_programs.contains(pid);
}

std::string ReadProcFile(pid_t pid, const char* name) {
  std::ifstream file(fmt::format("/proc/{}/{}", pid, name));
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::vector<pid_t> ChildrenAndZombiesOf(pid_t parent) {
  std::vector<pid_t> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());  // 0: not a process
    if (pid == 0) continue;
    const std::string status = ReadProcFile(pid, "status");
    if (status.find(fmt::format("\nPPid:\t{}\n", parent)) != std::string::npos) {
      children.push_back(pid);
    }
  }
  return children;
}

// Reaps the children that have ended, ChildPrograms left out, and returns those that run.
std::vector<pid_t> ReapStrays() {
  std::vector<pid_t> strays = ChildrenAndZombiesOf(::getpid());
  std::erase_if(strays, [](pid_t child) {
    return IsChildProgram(child) || ::waitpid(child, nullptr, WNOHANG) != 0;
  });
  return strays;
}

}  // namespace

ChildProgram::ChildProgram(const ProgramOptions& options)
    : command_(fmt::format("{} {}", options.program, fmt::join(options.arguments, " "))),
      out_(MakeCapture("standard output")),
      err_(MakeCapture("standard error")),
      started_(base::SystemClock().Now()) {
  faas::ProcessOptions process;
  process.program = options.program;
  process.arguments = options.arguments;
  process.environment = options.environment;
  process.working_directory = options.working_directory;
  process.output_descriptor = out_.get();
  process.error_descriptor = err_.get();
  process_ = std::make_unique<faas::ChildProcess>(process);
  pid_ = process_->pid();
  const std::lock_guard lock(g_programs_mutex);
  g_programs.insert(pid_);
}

ChildProgram::~ChildProgram() {
  process_.reset();
  const std::lock_guard lock(g_programs_mutex);
  g_programs.erase(pid_);
}

std::string ChildProgram::out() const { return ReadCapture(out_.get()); }

std::string ChildProgram::err() const { return ReadCapture(err_.get()); }

void ChildProgram::WaitUntil(const std::function<bool()>& condition, base::Duration timeout) const {
  const base::Deadline deadline = base::Deadline::After(timeout);
  while (!condition()) {
    if (WaitForEnd(kPollInterval)) {
      if (condition()) return;
      Fail("ended too early");
    }
    if (deadline.Expired()) Fail("did not come to the point within its time");
  }
}

ProgramResult ChildProgram::Wait(base::Duration timeout) {
  if (!WaitForEnd(timeout)) Fail("did not end within its time");
  const double seconds = base::Seconds(base::SystemClock().Now() - started_);
  return {.status = process_->Reap(), .out = out(), .err = err(), .seconds = seconds};
}

bool ChildProgram::WaitForEnd(base::Duration timeout) const {
  const auto timeout_ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  pollfd end = {.fd = process_->pidfd(), .events = POLLIN, .revents = 0};
  return ::poll(&end, 1, static_cast<int>(timeout_ms)) == 1;
}

void ChildProgram::Fail(const std::string& what) const {
  throw std::runtime_error(fmt::format("{}: {}\n--- standard output:\n{}\n--- standard error:\n{}",
                                       command_, what, out(), err()));
}

ProgramResult RunProgram(const ProgramOptions& options, base::Duration timeout) {
  return ChildProgram(options).Wait(timeout);
}

std::vector<pid_t> ChildrenOf(pid_t parent) {
  std::vector<pid_t> children = ChildrenAndZombiesOf(parent);
  std::erase_if(children, [](pid_t child) {
    return ReadProcFile(child, "status").find("\nState:\tZ") != std::string::npos;
  });
  return children;
}

std::string CommandOf(pid_t pid) {
  std::string command = ReadProcFile(pid, "cmdline");
  std::ranges::replace(command, '\0', ' ');
  return command;
}

void AdoptOrphans() {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) base::ThrowErrno("adopt", "orphans", errno);
}

std::vector<std::string> DescendantsLeft(base::Duration patience) {
  const base::Deadline deadline = base::Deadline::After(patience);
  std::vector<pid_t> strays = ReapStrays();
  while (!strays.empty() && !deadline.Expired()) {
    std::this_thread::sleep_for(kPollInterval);
    strays = ReapStrays();
  }
  std::vector<std::string> commands;
  for (const pid_t stray : strays) {
    commands.push_back(fmt::format("{}: {}", stray, CommandOf(stray)));
  }
  return commands;
}

}  // namespace lambdaml::test
