// An HTTP server for tests that answers what it is told to: well, slowly, in part, wrongly, or not
// at all. It speaks through plain sockets, so it can also break every rule.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/base/clock.h"

namespace lambdaml::test {

struct ReceivedRequest {
  int number = 0;      // of all requests, from 0, in the order of arrival
  int connection = 0;  // on which it came, from 0
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

struct ScriptedReply {
  std::string bytes = {};       // as they go over the wire
  base::Duration delay = {};    // before the first of them
  std::string late_bytes = {};  // after `late_delay` more
  base::Duration late_delay = {};
  enum class Then { kKeepOpen, kClose, kReset, kSayNothing } then = Then::kKeepOpen;
};

// A well-formed answer. headers: lines that end in "\r\n".
std::string HttpAnswer(int status, const std::string& body, const std::string& headers = "");

// Listens on a free port of 127.0.0.1 from construction to destruction; one thread for each
// connection.
class ScriptedHttpServer {
 public:
  // The script is called for each request, one call at a time.
  using Script = std::function<ScriptedReply(const ReceivedRequest&)>;

  explicit ScriptedHttpServer(Script script);
  ScriptedHttpServer(const ScriptedHttpServer&) = delete;
  ScriptedHttpServer& operator=(const ScriptedHttpServer&) = delete;
  ~ScriptedHttpServer();

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::string authority() const { return "127.0.0.1:" + std::to_string(port_); }
  int port() const { return port_; }

  int connection_count() const;
  int open_connection_count() const;
  // All that have come so far.
  std::vector<ReceivedRequest> requests() const;

 private:
  void Accept();
  void Serve(int socket, int connection);
  bool Answer(int socket, const ScriptedReply& reply);
  // False if the server ends before the time is over.
  bool Pause(base::Duration duration);

  const Script script_;
  int listener_ = -1;
  int port_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable stopping_;
  bool is_stopping_ = false;
  std::vector<int> sockets_;  // of the open connections
  int connection_count_ = 0;
  std::vector<ReceivedRequest> requests_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace lambdaml::test
