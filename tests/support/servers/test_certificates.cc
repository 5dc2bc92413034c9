#include "support/servers/test_certificates.h"

#include <stdexcept>

#include "lambdaml/base/bytes.h"

namespace lambdaml::test {

void TestCertificates::Run(const std::vector<std::string>& arguments) const {
  const ProgramResult result = RunProgram({.program = FindProgram("openssl"),
                                           .arguments = arguments,
                                           .environment = {},
                                           .working_directory = folder_.path()},
                                          std::chrono::seconds(30));
  if (result.status.exit_code != 0 || result.status.signal != 0) {
    throw std::runtime_error("openssl: " + result.err);
  }
}

TestCertificates::TestCertificates(const std::string& names) {
  const auto new_key = [](const char* key) -> std::vector<std::string> {
    return {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key};
  };
  std::vector<std::string> authority = {
      "req", "-x509", "-days", "2", "-subj", "/CN=Test authority", "-out", "authority.pem"};
  std::vector<std::string> request = {"req", "-subj", "/CN=server", "-out", "server.csr"};
  for (std::string& argument : new_key("authority.key")) authority.push_back(std::move(argument));
  for (std::string& argument : new_key("server.key")) request.push_back(std::move(argument));
  Run(authority);
  Run(request);
  base::WriteFileAtomic(PathOf("names"), base::AsBytes("subjectAltName=" + names));
  Run({"x509", "-req", "-days", "2", "-in", "server.csr", "-CA", "authority.pem", "-CAkey",
       "authority.key", "-CAcreateserial", "-extfile", "names", "-out", "server.pem"});
}

}  // namespace lambdaml::test
