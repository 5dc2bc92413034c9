#include "support/servers/memcached_server.h"

#include <fmt/format.h>
#include <random>
#include <unistd.h>
#include <utility>

#include "lambdaml/store/memcached_store.h"

namespace lambdaml::test {
namespace {

ProgramOptions Command(int port, std::vector<std::string> arguments) {
  std::vector<std::string> all = {"-l", "127.0.0.1", "-p", std::to_string(port), "-U", "0"};
  // Root must say whom the server is to become; another user would let it outlive a killed test,
  // since the kernel forgets the signal at the parent's death when the user changes.
  if (::geteuid() == 0) all.insert(all.end(), {"-u", "root"});
  all.insert(all.end(), arguments.begin(), arguments.end());
  return {.program = FindProgram("memcached"),
          .arguments = std::move(all),
          .environment = {},
          .working_directory = "/"};
}

class MemcachedPlace final : public StorePlace {
 public:
  ~MemcachedPlace() override {
    Open()->DeletePrefix("", base::Deadline::After(std::chrono::seconds(60)));
  }

  std::unique_ptr<store::Store> Open() override {
    return std::make_unique<store::MemcachedStore>(url_);
  }

 private:
  static std::string FreshPrefix() {
    std::random_device random;
    return fmt::format("test-{:08x}{:08x}", random(), random());
  }

  const std::string url_ = MemcachedServer::Shared().url(FreshPrefix());
};

}  // namespace

MemcachedServer& MemcachedServer::Shared() {
  static MemcachedServer server({"-m", "512"});
  return server;
}

MemcachedServer::MemcachedServer(std::vector<std::string> arguments)
    : process_(Command(port_, std::move(arguments)),
               [port = port_] { return AcceptsConnections(port); }) {}

std::string MemcachedServer::place() const { return fmt::format("127.0.0.1:{}", port_); }

std::string MemcachedServer::url(const std::string& prefix) const {
  return fmt::format("memcached://{}/{}", place(), prefix);
}

StoreBackend MemcachedBackend() {
  return {.name = "Memcached",
          .is_shared_by_processes = true,
          .make_place = [] { return std::make_unique<MemcachedPlace>(); },
          .skip_reason = MemcachedServer::IsInstalled() ? "" : MemcachedServer::kMissing};
}

}  // namespace lambdaml::test
