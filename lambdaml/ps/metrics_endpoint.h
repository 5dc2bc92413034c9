// GET /metrics and GET /status over HTTP, for Prometheus and for people. One request a connection,
// one connection at a time, a second for each: nobody can keep it busy for long.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/ps/service.h"

namespace lambdaml::ps {

class MetricsEndpoint {
 public:
  // Serves from now on, in a thread of its own. Errors: kUnavailable if the port is taken.
  MetricsEndpoint(const std::string& host, int port, const Service& service);
  MetricsEndpoint(const MetricsEndpoint&) = delete;
  MetricsEndpoint& operator=(const MetricsEndpoint&) = delete;
  ~MetricsEndpoint();

  int port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::ps
