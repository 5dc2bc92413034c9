// HTTP by hand over plain sockets: what an independent client or server would send.
#pragma once

#include <arpa/inet.h>
#include <cstdlib>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include "lambdaml/base/file.h"

namespace lambdaml::faas {

class RawConnection {
 public:
  explicit RawConnection(base::FileDescriptor socket) : socket_(std::move(socket)) {}

  // Connects to "127.0.0.1:port".
  explicit RawConnection(const std::string& endpoint)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port =
        htons(static_cast<uint16_t>(std::atoi(endpoint.substr(endpoint.find(':') + 1).c_str())));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
      throw std::runtime_error("connect " + endpoint);
    }
  }

  // Returns false when the other side has closed.
  bool Send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t count = ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      text.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  // Reads one message with its body of Content-Length bytes; what came if the other side closes.
  std::string ReadMessage() {
    while (text_.find("\r\n\r\n") == text_.npos) {
      if (!ReadMore()) return std::exchange(text_, {});
    }
    const size_t body = text_.find("\r\n\r\n") + 4;
    const size_t field = text_.find("Content-Length: ");
    const size_t length =
        field < body ? static_cast<size_t>(std::atoll(text_.c_str() + field + 16)) : 0;
    while (text_.size() < body + length) {
      if (!ReadMore()) break;
    }
    std::string message = text_.substr(0, body + length);
    text_.erase(0, message.size());
    return message;
  }

  // Whether the other side closes within ten seconds.
  bool IsClosedByOther() {
    while (ReadMore()) {
    }
    return closed_;
  }

  void FinishSending() { ::shutdown(socket_.get(), SHUT_WR); }
  void Close() { socket_ = base::FileDescriptor(); }

 private:
  bool ReadMore() {
    pollfd entry = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 10'000) <= 0) return false;
    char part[65536];
    const ssize_t count = ::recv(socket_.get(), part, sizeof(part), 0);
    closed_ = count <= 0;
    if (count > 0) text_.append(part, static_cast<size_t>(count));
    return count > 0;
  }

  base::FileDescriptor socket_;
  std::string text_;
  bool closed_ = false;
};

// A listening socket on a free port of 127.0.0.1.
class RawListener {
 public:
  RawListener() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(socket_.get(), 16) != 0 ||
        ::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::runtime_error("listen");
    }
    endpoint_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }

  const std::string& endpoint() const { return endpoint_; }
  RawConnection Accept() {
    return RawConnection(
        base::FileDescriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  }

 private:
  base::FileDescriptor socket_;
  std::string endpoint_;
};

// "POST <target> HTTP/1.1" with a body and further header lines, each ended by \r\n.
inline std::string RawPost(std::string_view target, std::string_view body,
                           std::string_view headers = "") {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace lambdaml::faas
