// CloudFormation, Lambda, CloudWatch Logs and STS on loopback, as tests/support/aws/fake_aws.py
// plays them: it checks every signature and every parameter by botocore.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/json.h"
#include "lambdaml/net/credentials.h"

#include "support/servers/server_process.h"

namespace lambdaml::test {

// Threads: one.
class FakeAws {
 public:
  // What it needs: Debian's python3-botocore and python3-yaml.
  static bool IsInstalled();
  static constexpr const char* kMissing = "python3-botocore or python3-yaml is not installed";

  // folder: for its record of requests. options: of the program. environment: for its functions.
  FakeAws(const std::string& folder, const net::Credentials& credentials,
          const std::vector<std::string>& options = {},
          const std::vector<std::string>& environment = {});

  std::string endpoint() const;
  // "AWS_…=value", with which programs find it; S3 is elsewhere.
  std::vector<std::string> Environment() const;

  // Functions that run are its children.
  pid_t pid() const { return process_->pid(); }

  // The requests so far: service, operation, parameters, answer.
  std::vector<base::Json> Requests() const;

 private:
  const int port_ = FreePort();
  const std::string record_;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace lambdaml::test
