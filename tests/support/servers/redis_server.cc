#include "support/servers/redis_server.h"

#include <fmt/format.h>
#include <random>
#include <utility>

#include "lambdaml/store/redis_store.h"

namespace lambdaml::test {
namespace {

ProgramOptions Command(const std::string& folder, int port,
                       const std::vector<std::string>& arguments,
                       const TestCertificates* certificates) {
  std::vector<std::string> all = {"--bind", "127.0.0.1", "--save", "", "--dir", folder};
  const std::string port_text = std::to_string(port);
  if (certificates == nullptr) {
    all.insert(all.end(), {"--port", port_text});
  } else {
    all.insert(all.end(), {"--port", "0", "--tls-port", port_text, "--tls-auth-clients", "no"});
    all.insert(all.end(), {"--tls-cert-file", certificates->certificate()});
    all.insert(all.end(), {"--tls-key-file", certificates->key()});
    all.insert(all.end(), {"--tls-ca-cert-file", certificates->authority()});
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  return {.program = FindProgram("redis-server"),
          .arguments = std::move(all),
          .environment = {},
          .working_directory = folder};
}

class RedisPlace final : public StorePlace {
 public:
  ~RedisPlace() override {
    Open()->DeletePrefix("", base::Deadline::After(std::chrono::seconds(60)));
  }

  std::unique_ptr<store::Store> Open() override {
    return std::make_unique<store::RedisStore>(url_);
  }

 private:
  const std::string url_ = RedisServer::Shared().FreshUrl();
};

}  // namespace

RedisServer& RedisServer::Shared() {
  static RedisServer server;
  return server;
}

RedisServer::RedisServer(const std::vector<std::string>& arguments,
                         const TestCertificates* certificates)
    : folder_("/tmp", "lambdaml_redis_"),
      process_(
          std::make_unique<ServerProcess>(Command(folder_.path(), port_, arguments, certificates),
                                          [port = port_] { return AcceptsConnections(port); })) {}

std::string RedisServer::place() const { return fmt::format("127.0.0.1:{}", port_); }

std::string RedisServer::FreshUrl(const std::string& login) const {
  std::random_device random;
  return fmt::format("redis://{}{}{}/0?prefix=test-{:08x}{:08x}", login, login.empty() ? "" : "@",
                     place(), random(), random());
}

std::string RedisServer::Ask(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = {"-p", std::to_string(port_), "--no-auth-warning"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::string out = RunProgram({.program = FindProgram("redis-cli"),
                                .arguments = std::move(all),
                                .environment = {},
                                .working_directory = "/"},
                               std::chrono::seconds(30))
                        .out;
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

StoreBackend RedisBackend() {
  return {.name = "Redis",
          .is_shared_by_processes = true,
          .make_place = [] { return std::make_unique<RedisPlace>(); },
          .skip_reason = RedisServer::IsInstalled() ? "" : RedisServer::kMissing};
}

}  // namespace lambdaml::test
