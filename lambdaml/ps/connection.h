// One connection to a parameter server, on which the methods of ps.thrift are called one after the
// other. It connects once; Client makes new ones.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/ps/slice_call.h"

namespace lambdaml::ps {

// Where a server is and how to get in.
struct ServerAddress {
  std::string host = {};
  int port = 0;
  std::string token = {};  // "": none
  bool use_tls = false;
  std::string ca_file = {};    // PEM; "": that of SSL_CERT_FILE, or the system's
  std::string cert_file = {};  // PEM, for a server that asks for a certificate
  std::string key_file = {};
};

// What clients have asked of their server. Threads: any.
struct ClientMeter {
  std::atomic<uint64_t> requests{0};
  std::atomic<uint64_t> contributions{0};  // requests that bring a message, counted above too
  std::atomic<uint64_t> bytes_received{0};
  std::atomic<uint64_t> bytes_sent{0};
};

enum class SliceMethod { kExchange, kMerge };

// Threads: one. Errors of all calls: kUnavailable, naming host, port and cause, if the connection
// cannot be made or breaks, kDeadlineExceeded: then it is of no use any more (is_usable). Or what
// the server refuses, with its own words and code.
class Connection {
 public:
  // Connects and presents itself. Errors: also kPermissionDenied (token, certificate), kNotFound
  // (no such host), kCorrupt if what listens there is no parameter server.
  Connection(const ServerAddress& address, ClientMeter& meter, const base::Deadline& deadline);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  JobState OpenJob(const JobSpec& spec, const base::Deadline& deadline);
  // The answer must come within call.wait and some seconds more. `place` is ReadSliceAnswer's.
  SliceAnswer Call(SliceMethod method, const SliceCall& call, const base::Deadline& deadline,
                   AnswerPlace* place = nullptr);
  void Release(const std::string& job, const RoundId& before, const base::Deadline& deadline);
  void CloseJob(const std::string& job, const base::Deadline& deadline);
  std::string Status(const base::Deadline& deadline);  // a JSON object

  bool is_usable() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::ps
