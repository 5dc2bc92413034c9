// A stand-in for a server that misbehaves: it passes bytes on between its clients and a real
// server, and changes, delays or loses what the server answers.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/file.h"

namespace lambdaml::test {

// Listens on a port of 127.0.0.1. Threads: any, at once.
class TcpProxy {
 public:
  // What happens to the bytes of one connection; see OnReply.
  struct Hooks {
    std::function<bool(std::string*)> on_request = nullptr;
    std::function<bool(std::string*)> on_reply = nullptr;
  };

  // Each new connection asks `make_hooks`, if there is one, for hooks of its own.
  explicit TcpProxy(int server_port, std::function<Hooks()> make_hooks = nullptr);
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;
  ~TcpProxy();

  int port() const { return port_; }

  // What happens to bytes that come from the server: the function may change them; if it returns
  // false, the connection is cut after them. Called from the connections' threads.
  void OnReply(std::function<bool(std::string*)> on_reply);
  // The same for bytes that come from a client.
  void OnRequest(std::function<bool(std::string*)> on_request);

 private:
  using Hook = std::function<bool(std::string*)>;

  void Accept();
  void Serve(int client);
  bool Pass(int from, int to, const Hook& hook);
  Hook hook(bool of_replies);

  const int server_port_;
  const std::function<Hooks()> make_hooks_;
  int port_ = 0;
  base::FileDescriptor listener_;
  std::mutex mutex_;
  // Guarded by mutex_.
  Hook on_reply_;
  Hook on_request_;
  bool is_ended_ = false;
  std::vector<int> open_sockets_;
  std::vector<std::thread> connections_;

  std::thread acceptor_;
};

}  // namespace lambdaml::test
