// A network and a server that fail now and then, as a seed says, in front of a real server.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/random.h"

#include "support/servers/tcp_proxy.h"

namespace lambdaml::test {

struct ProxyFaults {
  uint64_t seed = 0;
  // Of a request: that the connection is cut before it arrives, in the middle of it, before its
  // answer, or in the middle of that; over HTTP also that a 503 takes the answer's place. So the
  // server may or may not have done what it was asked.
  double failure_probability = 0;
  bool speaks_http = false;
  bool cuts_requests = true;  // or leaves them whole, for servers that do not survive half a one
  // Of a request or its answer: that one bit of it arrives changed.
  double damage_probability = 0;
  base::Duration latency = {};  // before each answer
};

// Requests that a client sends without waiting for answers count as one. Print the seed with a
// failing test. Threads: any, at once.
class FaultProxy {
 public:
  FaultProxy(int server_port, const ProxyFaults& faults);

  int port() const { return proxy_.port(); }
  uint64_t failures() const { return failures_; }  // so far

 private:
  enum class Failure { kNone, kNoRequest, kHalfRequest, kNoAnswer, kHalfAnswer, kUnavailable };
  struct Connection {
    bool is_asking = false;  // the last bytes came from the client
    Failure failure = Failure::kNone;
  };
  TcpProxy::Hooks MakeHooks();
  Failure DrawFailure();
  void DrawDamage(std::string* bytes);
  bool Request(Connection& connection, std::string* bytes);
  bool Reply(Connection& connection, std::string* bytes);

  const ProxyFaults faults_;
  std::atomic<uint64_t> failures_{0};
  std::mutex mutex_;
  base::Random random_;  // guarded by mutex_
  TcpProxy proxy_;       // ends before what its threads use
};

}  // namespace lambdaml::test
