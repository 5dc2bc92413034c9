#include "support/servers/ps_server.h"

#include <fmt/format.h>
#include <utility>

namespace lambdaml::test {
namespace {

ProgramOptions Command(const std::string& folder, int port, const PsServer::Options& options) {
  std::vector<std::string> arguments = {"ps", "--port", std::to_string(port)};
  if (options.has_folder) arguments.insert(arguments.end(), {"--dir", folder + "/jobs"});
  if (options.certificates != nullptr) {
    arguments.insert(arguments.end(), {"--tls_cert", options.certificates->certificate(),
                                       "--tls_key", options.certificates->key()});
  }
  arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
  ProgramOptions program = {.program = LAMBDAML_PROGRAM,
                            .arguments = std::move(arguments),
                            .environment = {},
                            .working_directory = folder};
  if (!options.token.empty()) program.environment.push_back("LAMBDAML_PS_TOKEN=" + options.token);
  return program;
}

}  // namespace

PsServer& PsServer::Shared() {
  static PsServer server;
  return server;
}

PsServer::PsServer(const Options& options)
    : folder_("/tmp", "lambdaml_ps_"),
      options_(options),
      process_(
          std::make_unique<ServerProcess>(Command(folder_.path(), port_, options),
                                          [port = port_] { return AcceptsConnections(port); })) {}

std::string PsServer::url() const { return fmt::format("ps://127.0.0.1:{}", port_); }

ps::ServerAddress PsServer::address() const {
  return {.host = "127.0.0.1",
          .port = port_,
          .token = options_.token,
          .use_tls = options_.certificates != nullptr,
          .ca_file = options_.certificates != nullptr ? options_.certificates->authority() : ""};
}

base::Json PsServer::Status() const {
  return base::Json::Parse(
      ps::FetchStatus(address(), base::Deadline::After(std::chrono::seconds(10))), "status");
}

}  // namespace lambdaml::test
