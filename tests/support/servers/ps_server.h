// The parameter server as users run it: the program `lambdaml ps`, on a free loopback port.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/base/json.h"
#include "lambdaml/ps/client.h"

#include "support/servers/server_process.h"
#include "support/servers/test_certificates.h"

namespace lambdaml::test {

// Threads: one, except for the accessors.
class PsServer {
 public:
  struct Options {
    std::vector<std::string> arguments = {};  // further ones of the command line
    std::string token = {};
    bool has_folder = false;  // --dir
    const TestCertificates* certificates = nullptr;
  };

  // The server of this process, with nothing special, ended with the process.
  static PsServer& Shared();

  PsServer() : PsServer(Options()) {}
  explicit PsServer(const Options& options);

  int port() const { return port_; }
  std::string url() const;  // ps://127.0.0.1:port
  ps::ServerAddress address() const;
  ServerProcess& process() { return *process_; }

  // The server's state.
  base::Json Status() const;

 private:
  base::TemporaryDirectory folder_;
  const int port_ = FreePort();
  const Options options_;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace lambdaml::test
