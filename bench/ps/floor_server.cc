#include "ps/floor_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <barrier>
#include <csignal>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace lambdaml::bench {
namespace {

// Below this, one thread serves all connections: it wakes no other.
constexpr size_t kShortBytes = 64 * 1024;

void SetNoDelay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

bool SendAll(int socket, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = ::send(socket, data, size, MSG_NOSIGNAL);
    if (count <= 0) return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool ReceiveAll(int socket, char* data, size_t size) {
  while (size > 0) {
    const ssize_t count = ::recv(socket, data, size, 0);
    if (count <= 0) return false;
    data += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

// One byte each way stands for a direction that a round does not have: a question or an answer.
size_t AtLeastOne(size_t bytes) { return std::max<size_t>(bytes, 1); }

void ServeInOneThread(const std::vector<int>& sockets, size_t in, size_t out) {
  std::vector<char> contribution(in);
  const std::vector<char> result(out, 'x');
  while (true) {
    for (const int socket : sockets) {
      if (!ReceiveAll(socket, contribution.data(), in)) return;
    }
    for (const int socket : sockets) SendAll(socket, result.data(), out);
  }
}

void ServeInThreads(const std::vector<int>& sockets, size_t in, size_t out) {
  std::barrier all_have_come(static_cast<ptrdiff_t>(sockets.size()));
  const std::vector<char> result(out, 'x');
  std::vector<std::thread> threads;
  for (const int socket : sockets) {
    threads.emplace_back([&, socket] {
      std::vector<char> contribution(in);
      while (ReceiveAll(socket, contribution.data(), in)) {
        all_have_come.arrive_and_wait();
        SendAll(socket, result.data(), out);
      }
      all_have_come.arrive_and_drop();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

FloorServer::FloorServer(int worker_count, Round round)
    : round_{AtLeastOne(round.sent_bytes), AtLeastOne(round.received_bytes)} {
  const base::FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), 128) != 0 ||
      ::getsockname(listener.get(), generic, &size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  server_ = ::fork();
  if (server_ == 0) {
    std::vector<int> sockets;
    for (int worker = 0; worker < worker_count; ++worker) {
      sockets.push_back(::accept(listener.get(), nullptr, nullptr));
      SetNoDelay(sockets.back());
    }
    const bool is_short = std::max(round_.sent_bytes, round_.received_bytes) < kShortBytes;
    (is_short ? ServeInOneThread : ServeInThreads)(sockets, round_.sent_bytes,
                                                   round_.received_bytes);
    ::_exit(0);
  }
  for (int worker = 0; worker < worker_count; ++worker) {
    sockets_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(sockets_.back().get(), generic, size) != 0) {
      throw std::runtime_error("cannot connect");
    }
    SetNoDelay(sockets_.back().get());
    buffers_.emplace_back(std::max(round_.sent_bytes, round_.received_bytes), 'x');
  }
}

FloorServer::~FloorServer() {
  sockets_.clear();
  ::kill(server_, SIGKILL);
  ::waitpid(server_, nullptr, 0);
}

void FloorServer::Run(int worker) {
  const auto index = static_cast<size_t>(worker);
  char* const data = buffers_[index].data();
  if (!SendAll(sockets_[index].get(), data, round_.sent_bytes) ||
      !ReceiveAll(sockets_[index].get(), data, round_.received_bytes)) {
    throw std::runtime_error("the floor's server has gone");
  }
}

}  // namespace lambdaml::bench
