#include "support/servers/fake_aws.h"

#include <fmt/format.h>
#include <sstream>

#include "lambdaml/base/file.h"

namespace lambdaml::test {
namespace {

constexpr const char* kPython = "/usr/bin/python3";

}  // namespace

bool FakeAws::IsInstalled() {
  static const bool is_installed =
      base::FileExists(kPython) && RunProgram({.program = kPython,
                                               .arguments = {"-c", "import botocore, yaml"},
                                               .environment = {},
                                               .working_directory = "/"},
                                              std::chrono::seconds(30))
                                           .status.exit_code == 0;
  return is_installed;
}

FakeAws::FakeAws(const std::string& folder, const net::Credentials& credentials,
                 const std::vector<std::string>& options,
                 const std::vector<std::string>& environment)
    : record_(folder + "/requests.jsonl") {
  ProgramOptions program = {
      .program = kPython,
      .arguments = {"-B", LAMBDAML_FAKE_AWS, std::to_string(port_), record_, "--key",
                    credentials.access_key_id + "=" + credentials.secret_access_key},
      .environment = {"PATH=/usr/bin:/bin"},
      .working_directory = folder};
  program.environment.insert(program.environment.end(), environment.begin(), environment.end());
  program.arguments.insert(program.arguments.end(), options.begin(), options.end());
  process_ = std::make_unique<ServerProcess>(program, [this] { return AcceptsConnections(port_); });
}

std::string FakeAws::endpoint() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::vector<std::string> FakeAws::Environment() const {
  std::vector<std::string> variables;
  for (const char* service : {"CLOUDFORMATION", "LAMBDA", "LOGS", "STS"}) {
    variables.push_back(fmt::format("AWS_ENDPOINT_URL_{}={}", service, endpoint()));
  }
  return variables;
}

std::vector<base::Json> FakeAws::Requests() const {
  std::vector<base::Json> requests;
  std::istringstream lines{std::string(base::MapFile(record_).text())};
  for (std::string line; std::getline(lines, line);) {
    requests.push_back(base::Json::Parse(line, record_));
  }
  return requests;
}

}  // namespace lambdaml::test
