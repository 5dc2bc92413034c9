#include "lambdaml/net/tcp.h"

#include <algorithm>
#include <cerrno>
#include <fmt/format.h>
#include <future>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>

#include "lambdaml/base/error.h"

namespace lambdaml::net {
namespace {

using base::Deadline;
using base::Error;
using base::ErrorCode;

// A peer that vanished without a word is noticed after about a minute even on an idle connection.
constexpr int kKeepAliveIdleSeconds = 30;
constexpr int kKeepAliveIntervalSeconds = 10;
constexpr int kKeepAliveProbes = 3;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

struct Resolution {
  int error = 0;
  int errno_value = 0;  // if error is EAI_SYSTEM
  Addresses addresses;
};

Resolution Resolve(const std::string& host, int port, int flags) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  Resolution result;
  result.error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  result.errno_value = errno;
  result.addresses.reset(list);
  return result;
}

Addresses ResolveWithin(const std::string& host, int port, const Deadline& deadline) {
  const std::string place = PlaceName(host, port);
  Resolution result = Resolve(host, port, AI_NUMERICHOST);
  if (result.error == 0) return std::move(result.addresses);

  // The thread is left to itself when the deadline passes: nobody can end getaddrinfo.
  std::packaged_task<Resolution()> task(
      [host, port] { return Resolve(host, port, AI_ADDRCONFIG); });
  std::future<Resolution> answer = task.get_future();
  std::thread(std::move(task)).detach();
  const auto patience = std::chrono::milliseconds(deadline.RemainingPollMs());
  if (answer.wait_for(patience) != std::future_status::ready) {
    throw Error(ErrorCode::kDeadlineExceeded,
                fmt::format("{}: the name was not resolved before the deadline", place));
  }
  result = answer.get();
  if (result.error == 0) return std::move(result.addresses);
  if (result.error == EAI_NONAME || result.error == EAI_NODATA || result.error == EAI_ADDRFAMILY) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("{}: no such host: check the name, and that it is known here (a "
                            "service in a VPC is known inside that VPC only)",
                            place));
  }
  const std::string cause = result.error == EAI_SYSTEM
                                ? std::generic_category().message(result.errno_value)
                                : std::string(::gai_strerror(result.error));
  throw Error(ErrorCode::kUnavailable,
              fmt::format("{}: cannot resolve the name: {}", place, cause));
}

void SetOption(int socket, int level, int name, int value) {
  // An option that this kernel does not know costs speed, not correctness.
  static_cast<void>(::setsockopt(socket, level, name, &value, sizeof value));
}

// Connects to one address; the error number, or 0. ETIMEDOUT if the deadline passes.
int ConnectTo(const addrinfo& address, const Deadline& deadline, base::FileDescriptor* connected) {
  base::FileDescriptor socket(::socket(
      address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, address.ai_protocol));
  if (socket.get() < 0) return errno;
  SetOption(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  SetOption(socket.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  SetOption(socket.get(), IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  SetOption(socket.get(), IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  SetOption(socket.get(), IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
  if (::connect(socket.get(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS && errno != EINTR) return errno;
    if (!WaitReady(socket.get(), POLLOUT, deadline)) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    if (error != 0) return error;
  }
  *connected = std::move(socket);
  return 0;
}

}  // namespace

std::string PlaceName(const std::string& host, int port) {
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port)
                                     : fmt::format("[{}]:{}", host, port);
}

bool WaitReady(int descriptor, short events, const Deadline& deadline) {
  pollfd watched = {.fd = descriptor, .events = events, .revents = 0};
  while (true) {
    const int ready = ::poll(&watched, 1, deadline.RemainingPollMs());
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR && errno != EAGAIN) base::ThrowErrno("poll", "a socket", errno);
    if (deadline.Expired()) return false;
  }
}

base::FileDescriptor ConnectTcp(const std::string& host, int port, const Deadline& deadline) {
  const Addresses addresses = ResolveWithin(host, port, deadline);
  int left = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next) ++left;
  int error = 0;
  for (const addrinfo* at = addresses.get(); at != nullptr; at = at->ai_next, --left) {
    const base::Duration share = deadline.Remaining() / left;
    base::FileDescriptor connected;
    error = ConnectTo(*at, Deadline::After(share, deadline.clock()), &connected);
    if (error == 0) return connected;
  }
  if (deadline.Expired()) {
    throw Error(ErrorCode::kDeadlineExceeded,
                fmt::format("{}: no connection before the deadline", PlaceName(host, port)));
  }
  throw Error(ErrorCode::kUnavailable, fmt::format("{}: cannot connect: {}", PlaceName(host, port),
                                                   std::generic_category().message(error)));
}

}  // namespace lambdaml::net
