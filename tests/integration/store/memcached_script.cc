#include "memcached_script.h"

#include <arpa/inet.h>
#include <cerrno>
#include <chrono>
#include <netinet/in.h>
#include <sstream>
#include <sys/socket.h>

#include "lambdaml/base/error.h"

namespace lambdaml::test {
namespace {

constexpr const char* kStats =
    "STAT pid 7\r\nSTAT uptime 100\r\nSTAT time 1000100\r\nSTAT evictions 0\r\n"
    "STAT limit_maxbytes 67108864\r\nEND\r\n";
constexpr const char* kSettings = "STAT item_size_max 1048576\r\nSTAT cas_enabled yes\r\nEND\r\n";

bool SendAll(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    text.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

// How many bytes follow a command line: the value of a write and its end.
size_t ValueSizeAfter(const std::string& command) {
  std::istringstream words(command);
  std::string verb;
  std::string key;
  size_t flags = 0;
  size_t expiry = 0;
  size_t size = 0;
  words >> verb >> key >> flags >> expiry >> size;
  return verb == "set" || verb == "add" || verb == "cas" ? size + 2 : 0;
}

}  // namespace

ScriptedMemcached::ScriptedMemcached(Script script)
    : script_(std::move(script)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), any, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), any, &size) != 0) {
    base::ThrowErrno("listen", "127.0.0.1", errno);
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedMemcached::~ScriptedMemcached() {
  is_ending_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& socket : sockets_) ::shutdown(socket.get(), SHUT_RDWR);
  }
  for (std::thread& connection : connections_) connection.join();
}

void ScriptedMemcached::Accept() {
  while (true) {
    const int socket = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    sockets_.emplace_back(socket);
    connections_.emplace_back([this, socket] { Serve(socket); });
  }
}

void ScriptedMemcached::Serve(int socket) {
  std::string input;
  char buffer[4096];
  bool is_open = true;
  while (is_open) {
    const size_t end = input.find("\r\n");
    const std::string command = input.substr(0, end);
    const size_t size = end == input.npos ? 0 : end + 2 + ValueSizeAfter(command);
    if (end == input.npos || input.size() < size) {
      const ssize_t count = ::recv(socket, buffer, sizeof buffer, 0);
      if (count <= 0) break;
      input.append(buffer, static_cast<size_t>(count));
      continue;
    }
    input.erase(0, size);
    const Answer answer = AnswerTo(command);
    if (answer.one_by_one) {
      for (size_t i = 0; i < answer.text.size() && !is_ending_; ++i) {
        if (!SendAll(socket, answer.text.substr(i, 1))) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    } else {
      is_open = SendAll(socket, answer.text);
    }
    if (answer.closes) is_open = false;
  }
  ::shutdown(socket, SHUT_RDWR);
}

ScriptedMemcached::Answer ScriptedMemcached::AnswerTo(const std::string& command) {
  const std::lock_guard lock(mutex_);
  if (auto answer = script_(command)) return *answer;
  if (command == "stats") return {kStats};
  if (command == "stats settings") return {kSettings};
  return {"ERROR\r\n"};
}

}  // namespace lambdaml::test
