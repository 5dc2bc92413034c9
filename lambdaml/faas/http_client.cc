#include "lambdaml/faas/http_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <system_error>
#include <unistd.h>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using base::Error;
using base::ErrorCode;
using OptionalDeadline = std::optional<base::Deadline>;

std::string ErrnoText(int errno_value) { return std::generic_category().message(errno_value); }

// Waits until the socket is ready for `events`. Returns 0 or an errno value (ETIMEDOUT).
int WaitFor(int socket, short events, const OptionalDeadline& deadline) {
  for (;;) {
    pollfd entry = {.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, deadline ? deadline->RemainingPollMs() : -1);
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
    if (deadline && deadline->Expired()) return ETIMEDOUT;
  }
}

// The socket as Beast's SyncReadStream, with a deadline.
class DeadlineStream {
 public:
  DeadlineStream(int socket, const OptionalDeadline& deadline)
      : socket_(socket), deadline_(deadline) {}

  template <class Buffers>
  size_t read_some(const Buffers& buffers, beast::error_code& error) {
    const boost::asio::mutable_buffer buffer = *boost::asio::buffer_sequence_begin(buffers);
    for (;;) {
      const ssize_t count = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (count > 0) {
        any_byte_read_ = true;
        error = {};
        return static_cast<size_t>(count);
      }
      if (count == 0) {
        error = boost::asio::error::eof;
        return 0;
      }
      int errno_value = errno;
      if (errno_value == EINTR) continue;
      if (errno_value == EAGAIN) errno_value = WaitFor(socket_, POLLIN, deadline_);
      if (errno_value != 0) {
        error = beast::error_code(errno_value, boost::system::generic_category());
        return 0;
      }
    }
  }

  template <class Buffers>
  size_t read_some(const Buffers& buffers) {
    beast::error_code error;
    const size_t count = read_some(buffers, error);
    if (error) throw beast::system_error(error);
    return count;
  }

  bool any_byte_read() const { return any_byte_read_; }

 private:
  int socket_;
  const OptionalDeadline& deadline_;
  bool any_byte_read_ = false;
};

// Connects one address. Returns 0 or an errno value.
int ConnectSocket(int socket, const addrinfo& address, const OptionalDeadline& deadline) {
  if (::connect(socket, address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (const int error = WaitFor(socket, POLLOUT, deadline)) return error;
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace

HttpConnection::HttpConnection(std::string address) : address_(std::move(address)) {
  const size_t colon = address_.rfind(':');
  if (colon != std::string::npos) {
    host_ = address_.substr(0, colon);
    port_ = address_.substr(colon + 1);
  }
  if (host_.starts_with('[') && host_.ends_with(']')) host_ = host_.substr(1, host_.size() - 2);
  const bool digits_only = std::ranges::all_of(port_, [](char c) { return c >= '0' && c <= '9'; });
  if (host_.empty() || port_.empty() || port_.size() > 5 || !digits_only) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("address {}: not host:port", address_));
  }
}

void HttpConnection::Connect(const OptionalDeadline& deadline) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host_.c_str(), port_.c_str(), &hints, &found)) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("connect {}: {}", address_, ::gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  int error = 0;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    socket_ = base::FileDescriptor(
        ::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket_.get() < 0) base::ThrowErrno("open a socket for", address_, errno);
    error = ConnectSocket(socket_.get(), *address, deadline);
    if (error == 0) {
      const int on = 1;
      ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      return;
    }
  }
  socket_ = base::FileDescriptor();
  throw Error(error == ETIMEDOUT ? ErrorCode::kDeadlineExceeded : ErrorCode::kUnavailable,
              fmt::format("connect {}: {}", address_, ErrnoText(error)));
}

bool HttpConnection::IdleConnectionIsAlive() const {
  // Between exchanges nothing may arrive: neither the end of the stream nor stray bytes.
  char byte = 0;
  const ssize_t count = ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return count < 0 && (errno == EAGAIN || errno == EINTR);
}

void HttpConnection::Send(const HttpRequest& request, const OptionalDeadline& deadline) {
  std::string head =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", request.method, request.target, address_);
  for (const HttpHeader& header : request.headers) {
    head += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  if (request.method != "GET") head += fmt::format("Content-Length: {}\r\n", request.body.size());
  head += "\r\n";

  size_t sent = 0;
  const size_t size = head.size() + request.body.size();
  while (sent < size) {
    const size_t head_sent = std::min(sent, head.size());
    const size_t body_sent = sent - head_sent;
    std::array<iovec, 2> parts = {
        iovec{head.data() + head_sent, head.size() - head_sent},
        iovec{const_cast<char*>(request.body.data()) + body_sent, request.body.size() - body_sent}};
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t count = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count >= 0) {
      sent += static_cast<size_t>(count);
      continue;
    }
    int error = errno;
    if (error == EINTR) continue;
    if (error == EAGAIN) error = WaitFor(socket_.get(), POLLOUT, deadline);
    // A server may answer and close before it has read all of a large body: the answer counts.
    if (error == EPIPE || error == ECONNRESET) return;
    if (error != 0) {
      throw Error(error == ETIMEDOUT ? ErrorCode::kDeadlineExceeded : ErrorCode::kUnavailable,
                  fmt::format("send to {}: {}", address_, ErrnoText(error)));
    }
  }
}

HttpResponse HttpConnection::Receive(const OptionalDeadline& deadline, bool* answer_began) {
  DeadlineStream stream(socket_.get(), deadline);
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kHttpBodySizeMaxBytes);
  beast::error_code error;
  http::read(stream, buffer, parser, error);
  *answer_began = stream.any_byte_read();
  if (error) {
    const bool expired = error == boost::system::errc::timed_out;
    throw Error(expired ? ErrorCode::kDeadlineExceeded : ErrorCode::kUnavailable,
                fmt::format("receive from {}: {}", address_, error.message()));
  }
  HttpResponse response;
  response.status = static_cast<int>(parser.get().result_int());
  for (const auto& field : parser.get()) {
    response.headers.push_back({std::string(field.name_string()), std::string(field.value())});
  }
  if (!parser.keep_alive() || buffer.size() != 0) socket_ = base::FileDescriptor();
  response.body = std::move(parser.get().body());
  return response;
}

HttpResponse HttpConnection::Exchange(const HttpRequest& request, const OptionalDeadline& deadline,
                                      bool repeatable) {
  if (socket_.get() >= 0 && !IdleConnectionIsAlive()) socket_ = base::FileDescriptor();
  bool reused = socket_.get() >= 0;
  for (;;) {
    bool answer_began = false;
    try {
      if (socket_.get() < 0) Connect(deadline);
      Send(request, deadline);
      return Receive(deadline, &answer_began);
    } catch (const Error& error) {
      socket_ = base::FileDescriptor();
      const bool try_again =
          reused && repeatable && !answer_began && error.code() == ErrorCode::kUnavailable;
      if (!try_again) throw;
      reused = false;
    }
  }
}

}  // namespace lambdaml::faas
