#include "support/servers/tcp_proxy.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <utility>

#include "support/loopback_peer.h"

namespace lambdaml::test {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

base::FileDescriptor MakeSocket() {
  return base::FileDescriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

}  // namespace

TcpProxy::TcpProxy(int server_port, std::function<Hooks()> make_hooks)
    : server_port_(server_port), make_hooks_(std::move(make_hooks)), listener_(MakeSocket()) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), generic, &size) != 0) {
    throw std::runtime_error("the proxy cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

TcpProxy::~TcpProxy() {
  {
    const std::lock_guard lock(mutex_);
    is_ended_ = true;
    for (const int socket : open_sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& connection : connections_) connection.join();
}

void TcpProxy::OnReply(Hook on_reply) {
  const std::lock_guard lock(mutex_);
  on_reply_ = std::move(on_reply);
}

void TcpProxy::OnRequest(Hook on_request) {
  const std::lock_guard lock(mutex_);
  on_request_ = std::move(on_request);
}

TcpProxy::Hook TcpProxy::hook(bool of_replies) {
  const std::lock_guard lock(mutex_);
  return of_replies ? on_reply_ : on_request_;
}

void TcpProxy::Accept() {
  while (true) {
    const int client = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const std::lock_guard lock(mutex_);
    open_sockets_.push_back(client);
    if (is_ended_) ::shutdown(client, SHUT_RDWR);
    connections_.emplace_back([this, client] { Serve(client); });
  }
}

bool TcpProxy::Pass(int from, int to, const Hook& change) {
  std::array<char, 65536> buffer{};
  const ssize_t count = ::recv(from, buffer.data(), buffer.size(), 0);
  if (count <= 0) return false;
  std::string bytes(buffer.data(), static_cast<size_t>(count));
  const bool goes_on = !change || change(&bytes);
  return SendAll(to, bytes) && goes_on;
}

void TcpProxy::Serve(int client) {
  const base::FileDescriptor owned(client);
  const base::FileDescriptor server = MakeSocket();
  const sockaddr_in address = Loopback(server_port_);
  const int yes = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  ::setsockopt(server.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  bool goes_on =
      ::connect(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  const Hooks own = make_hooks_ ? make_hooks_() : Hooks();
  while (goes_on) {
    std::array<pollfd, 2> watched = {{{client, POLLIN, 0}, {server.get(), POLLIN, 0}}};
    if (::poll(watched.data(), watched.size(), -1) < 0) break;
    if (watched[1].revents != 0) {
      goes_on = Pass(server.get(), client, own.on_reply ? own.on_reply : hook(true));
    }
    if (goes_on && watched[0].revents != 0) {
      goes_on = Pass(client, server.get(), own.on_request ? own.on_request : hook(false));
    }
  }
  const std::lock_guard lock(mutex_);
  std::erase(open_sockets_, client);  // before its number can be another's
}

}  // namespace lambdaml::test
