// A server that says of Memcached's protocol what a test tells it to.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/file.h"

namespace lambdaml::test {

// Answers "stats", "stats settings" and "config get cluster" as an ordinary server does, unless the
// script answers them, and everything else by the script. Threads: one, and one of its own for each
// connection.
class ScriptedMemcached {
 public:
  struct Answer {
    std::string text;
    bool closes = false;      // the connection, after the answer
    bool one_by_one = false;  // a byte each 50 ms
  };
  // The answer to a command line (without the value that follows it); nothing: the ordinary one.
  // Called from several threads, one at a time.
  using Script = std::function<std::optional<Answer>(const std::string& command)>;

  explicit ScriptedMemcached(Script script);
  ~ScriptedMemcached();
  ScriptedMemcached(const ScriptedMemcached&) = delete;
  ScriptedMemcached& operator=(const ScriptedMemcached&) = delete;

  int port() const { return port_; }
  std::string url() const { return "memcached://127.0.0.1:" + std::to_string(port_); }

 private:
  void Accept();
  void Serve(int socket);
  Answer AnswerTo(const std::string& command);

  Script script_;
  base::FileDescriptor listener_;
  int port_ = 0;
  std::atomic<bool> is_ending_{false};
  std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<base::FileDescriptor> sockets_;  // open to the end, so that no number is reused
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace lambdaml::test
