#include "support/servers/server_process.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <netinet/in.h>
#include <random>
#include <sstream>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

namespace lambdaml::test {
namespace {

constexpr base::Duration kStartTimeout = std::chrono::seconds(60);
constexpr base::Duration kStopTimeout = std::chrono::seconds(30);
// Below Linux's default range of ephemeral ports.
constexpr int kPortMin = 12000;
constexpr int kPortMax = 32000;

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

base::FileDescriptor MakeSocket() {
  base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) base::ThrowErrno("open", "socket", errno);
  return socket;
}

bool CanBind(int port) {
  const base::FileDescriptor socket = MakeSocket();
  const sockaddr_in address = Loopback(port);
  return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Its path, or "".
std::string PathOf(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(fmt::format("{}:/usr/sbin:/usr/bin:/sbin:/bin", path ? path : ""));
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

// Whether all threads of a process stand still: a signal does not reach them at once.
bool IsStopped(pid_t pid) {
  namespace fs = std::filesystem;
  return std::ranges::all_of(
      fs::directory_iterator(fmt::format("/proc/{}/task", pid)), [](const auto& thread) {
        std::ifstream file(thread.path() / "stat");
        std::string stat;
        std::getline(file, stat);
        const size_t name_end = stat.rfind(')');  // pid (name) state …
        return name_end != stat.npos && stat.substr(name_end).starts_with(") T");
      });
}

}  // namespace

int FreePort() {
  static std::mt19937 random(std::random_device{}());
  std::uniform_int_distribution<int> ports(kPortMin, kPortMax);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = ports(random);
    if (CanBind(port)) return port;
  }
  throw std::runtime_error("no free port found");
}

bool AcceptsConnections(int port) {
  const base::FileDescriptor socket = MakeSocket();
  const sockaddr_in address = Loopback(port);
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::string FindProgram(const std::string& name) {
  std::string path = PathOf(name);
  if (path.empty()) throw std::runtime_error(name + " is not installed");
  return path;
}

bool IsInstalled(const std::string& name) { return !PathOf(name).empty(); }

ServerProcess::ServerProcess(ProgramOptions options, std::function<bool()> is_ready)
    : options_(std::move(options)), is_ready_(std::move(is_ready)) {
  Start();
}

void ServerProcess::Start() {
  child_ = std::make_unique<ChildProgram>(options_);
  child_->WaitUntil(is_ready_, kStartTimeout);
}

void ServerProcess::Kill() {
  child_->Signal(SIGKILL);
  child_->Wait(kStopTimeout);
}

void ServerProcess::Stop() {
  child_->Signal(SIGTERM);
  child_->Wait(kStopTimeout);
}

void ServerProcess::Pause() const {
  child_->Signal(SIGSTOP);
  child_->WaitUntil([this] { return IsStopped(pid()); }, kStopTimeout);
}

void ServerProcess::Resume() const { child_->Signal(SIGCONT); }

}  // namespace lambdaml::test
