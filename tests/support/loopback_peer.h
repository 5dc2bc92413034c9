// The other end of one TCP connection: a thread of the test, saying what the test wants.
#pragma once

#include <arpa/inet.h>
#include <functional>
#include <netinet/in.h>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include "lambdaml/base/file.h"

namespace lambdaml::test {

// Listens on a free port of 127.0.0.1, accepts one connection, and closes it when `talk` returns.
class LoopbackPeer {
 public:
  explicit LoopbackPeer(std::function<void(int socket)> talk)
      : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 1) != 0 ||
        ::getsockname(listener_.get(), generic, &size) != 0) {
      throw std::runtime_error("cannot listen");
    }
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, talk = std::move(talk)] {
      const base::FileDescriptor socket(::accept(listener_.get(), nullptr, nullptr));
      if (socket.get() >= 0) talk(socket.get());
    });
  }
  LoopbackPeer(const LoopbackPeer&) = delete;
  LoopbackPeer& operator=(const LoopbackPeer&) = delete;
  ~LoopbackPeer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // ends an accept that nobody has come for
    thread_.join();
  }

  int port() const { return port_; }

 private:
  base::FileDescriptor listener_;
  int port_ = 0;
  std::thread thread_;
};

// Sends all bytes; false if the other end has gone.
inline bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

}  // namespace lambdaml::test
