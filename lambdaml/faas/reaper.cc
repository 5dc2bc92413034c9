#include "lambdaml/faas/reaper.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

// After the program was killed its functions may run on for a moment and write into the folders.
constexpr auto kSettlePause = std::chrono::milliseconds(20);
constexpr int kSettledCount = 5;
constexpr int kAttemptCountMax = 500;

void DeleteFolder(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::exists(folder, error)) return;
  int absent_count = 0;
  for (int attempt = 0; attempt < kAttemptCountMax && absent_count < kSettledCount; ++attempt) {
    std::filesystem::remove_all(folder, error);
    absent_count = std::filesystem::exists(folder, error) ? 0 : absent_count + 1;
    std::this_thread::sleep_for(kSettlePause);
  }
}

// Keeps only the read end, as descriptor 3, and /dev/null as 0, 1 and 2.
bool Detach(int read_end) {
  if (::dup2(read_end, 3) < 0) return false;
  if (::close_range(4, ~0U, 0) != 0) return false;
  const int null_device = ::open("/dev/null", O_RDWR);
  if (null_device < 0) return false;
  for (int standard = 0; standard <= 2; ++standard) {
    if (::dup2(null_device, standard) < 0) return false;
  }
  ::close(null_device);
  return ::setsid() >= 0 && ::chdir("/") == 0;
}

[[noreturn]] void RunGuardian(int read_end) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_IGN);
  ::prctl(PR_SET_NAME, "lambdaml-reaper");
  if (!Detach(read_end)) ::_exit(1);
  std::vector<std::string> folders;
  std::string text;
  std::array<char, 4096> part = {};
  for (;;) {
    const ssize_t count = ::read(3, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(part.data(), static_cast<size_t>(count));
    for (size_t end = 0; (end = text.find('\0')) != text.npos; text.erase(0, end + 1)) {
      folders.push_back(text.substr(0, end));
    }
  }
  for (const std::string& folder : folders) DeleteFolder(folder);
  ::_exit(0);
}

// Whether anything but folders is in the folder or below.
bool HoldsFile(const std::string& folder) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::recursive_directory_iterator();
       entries.increment(error)) {
    if (!entries->is_directory(error) || entries->is_symlink(error)) return true;
  }
  return static_cast<bool>(error);  // what cannot be seen is taken for a file
}

}  // namespace

std::string ReasonNotToDelete(const std::string& folder) {
  const std::filesystem::path path = folder;
  if (!path.is_absolute() || folder.find('\0') != folder.npos) return "it is no absolute path";
  std::ptrdiff_t depth = 0;
  for (const std::filesystem::path& part : path.relative_path()) {
    if (part.empty() || part == "." || part == "..") return "it is no plain path";
    ++depth;
  }
  if (depth < 2 || path != path.lexically_normal()) return "it is no folder of a run";
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::symlink_status(path, error);
  if (!std::filesystem::exists(status)) return "";
  if (!std::filesystem::is_directory(status)) return "it is no folder";
  if (HoldsFile(folder)) return "there are files in it already";
  return "";
}

Reaper::Reaper() {
  // A socket pair rather than a pipe: writing to a dead guardian must not raise SIGPIPE.
  std::array<int, 2> ends = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    base::ThrowErrno("start", "the clean-up process", errno);
  }
  pipe_ = base::FileDescriptor(ends[0]);
  const base::FileDescriptor read_end(ends[1]);
  guardian_ = ::fork();
  if (guardian_ == 0) RunGuardian(read_end.get());
  if (guardian_ < 0) base::ThrowErrno("start", "the clean-up process", errno);
}

Reaper::~Reaper() {
  pipe_ = base::FileDescriptor();
  while (::waitpid(guardian_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Reaper::DeleteAtEnd(const std::string& folder) {
  const std::string reason = ReasonNotToDelete(folder);
  if (!reason.empty()) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("delete folder \"{}\" at the end: refused, {}", folder, reason));
  }
  const std::string text = folder + '\0';
  const ssize_t count = ::send(pipe_.get(), text.data(), text.size(), MSG_NOSIGNAL);
  if (count != static_cast<ssize_t>(text.size())) {
    throw base::Error(base::ErrorCode::kUnavailable, "the clean-up process has ended");
  }
}

}  // namespace lambdaml::faas
