// Certificates for servers with TLS, made by the test itself. Debian package: openssl.
#pragma once

#include <string>

#include "lambdaml/base/file.h"

#include "support/servers/server_process.h"

namespace lambdaml::test {

// An authority, and a server's key and certificate signed by it, in a temporary folder.
class TestCertificates {
 public:
  // If not: GTEST_SKIP() << TestCertificates::kMissing.
  static bool CanBeMade() { return IsInstalled("openssl"); }
  static constexpr const char* kMissing = "openssl is not installed";

  // names: of the server, as in "IP:127.0.0.1,DNS:localhost".
  explicit TestCertificates(const std::string& names);

  std::string authority() const { return PathOf("authority.pem"); }
  std::string certificate() const { return PathOf("server.pem"); }
  std::string key() const { return PathOf("server.key"); }

 private:
  std::string PathOf(const std::string& name) const { return folder_.path() + "/" + name; }
  void Run(const std::vector<std::string>& arguments) const;

  base::TemporaryDirectory folder_{"/tmp", "lambdaml_certificates_"};
};

}  // namespace lambdaml::test
