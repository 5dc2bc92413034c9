// A real Redis server for tests, on a free loopback port. It keeps nothing on disk: what it holds
// is gone when it starts anew. Debian package: redis-server.
#pragma once

#include <string>
#include <vector>

#include "lambdaml/base/file.h"

#include "support/servers/server_process.h"
#include "support/servers/test_certificates.h"
#include "support/store_backend.h"

namespace lambdaml::test {

// Threads: one, except for the accessors.
class RedisServer {
 public:
  // If not: GTEST_SKIP() << RedisServer::kMissing.
  static bool IsInstalled() { return test::IsInstalled("redis-server"); }
  static constexpr const char* kMissing = "redis-server is not installed";

  // The server of this process, started by the first call and ended with the process.
  static RedisServer& Shared();

  // `arguments`: further options of its command line, as in {"--requirepass", "secret"}. With
  // certificates it speaks TLS only.
  explicit RedisServer(const std::vector<std::string>& arguments = {},
                       const TestCertificates* certificates = nullptr);

  int port() const { return port_; }
  std::string place() const;  // 127.0.0.1:port
  // redis://[login@]127.0.0.1:port/0?prefix=, with a prefix that no other URL has
  std::string FreshUrl(const std::string& login = "") const;
  ServerProcess& process() { return *process_; }

  // Runs redis-cli with these arguments, and returns what it prints, without the last newline.
  std::string Ask(const std::vector<std::string>& arguments) const;

 private:
  base::TemporaryDirectory folder_;
  const int port_ = FreePort();
  std::unique_ptr<ServerProcess> process_;
};

// Each place is a fresh prefix on the shared server.
StoreBackend RedisBackend();

}  // namespace lambdaml::test
