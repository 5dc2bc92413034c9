// The parameter server: listens, serves each connection in a thread of its own, drops what is idle,
// and stops without breaking a round.
//
// Why a thread for each connection: a call of `exchange` waits for the other ranks, and a thread
// that waits costs memory only; a pool with fewer threads than connections would stand still as
// soon as all of them wait for a rank that gets none. (Thrift's TThreadPoolServer is such a pool;
// its TNonblockingServer takes framed transports only, which LambdaML's clients do not use.)
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/ps/server_transport.h"
#include "lambdaml/ps/service.h"

namespace lambdaml::ps {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = kDefaultPort;                               // 0: any that is free
  base::Duration interval = std::chrono::seconds(60);    // between looks for what is idle
  base::Duration idle_max = std::chrono::seconds(6000);  // then a job or model is dropped
  base::Duration stop_grace = std::chrono::seconds(30);  // for rounds that have begun
  int connections_max = 1000;
  // TLS, if certificate and key (PEM) are given; with client_ca_file, clients need a certificate
  // that this authority has signed.
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string client_ca_file;
  int metrics_port = -1;  // HTTP on the same address; -1: none, 0: any that is free
  TransportLimits transport;
  ServiceOptions service;
};

// Threads: one.
class Server {
 public:
  // Recovers, listens and serves from now on. Logs a warning if others can reach the server
  // without token or TLS. Errors: kInvalidArgument (an option, a certificate), kUnavailable (the
  // port is taken), those of the folder.
  explicit Server(ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // As Stop, without any grace.
  ~Server();

  int port() const;
  int metrics_port() const;  // -1: none
  Service& service();

  // Refuses new jobs and rounds from now on, waits until those that have begun are finished, at
  // most for the grace, then ends all connections.
  void Stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::ps
