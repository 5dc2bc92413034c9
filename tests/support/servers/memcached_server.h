// A real Memcached server for tests, on a free loopback port.
#pragma once

#include <string>
#include <vector>

#include "support/servers/server_process.h"
#include "support/store_backend.h"

namespace lambdaml::test {

// Threads: one, except for the accessors.
class MemcachedServer {
 public:
  static bool IsInstalled() { return test::IsInstalled("memcached"); }
  static constexpr const char* kMissing = "memcached is not installed";

  // The server of this process, started by the first call and ended with the process.
  static MemcachedServer& Shared();

  // `arguments` come after those for address and port, as in {"-m", "128"}.
  explicit MemcachedServer(std::vector<std::string> arguments = {});

  int port() const { return port_; }
  std::string place() const;                              // 127.0.0.1:port
  std::string url(const std::string& prefix = "") const;  // memcached://127.0.0.1:port/prefix

  ServerProcess& process() { return process_; }

 private:
  const int port_ = FreePort();
  ServerProcess process_;
};

// Places are fresh prefixes on the shared server.
StoreBackend MemcachedBackend();

}  // namespace lambdaml::test
