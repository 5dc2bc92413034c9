#include "support/servers/dynamodb_server.h"

#include <atomic>
#include <fmt/format.h>

#include "lambdaml/net/credentials.h"

namespace lambdaml::test {
namespace {

constexpr const char* kProgram = LAMBDAML_DYNALITE "/node_modules/dynalite/cli.js";
constexpr base::Duration kTableTimeMax = std::chrono::minutes(1);

class DynamoDbPlace final : public StorePlace {
 public:
  DynamoDbPlace() { store_->Prepare(base::Deadline::After(kTableTimeMax)); }
  DynamoDbPlace(const DynamoDbPlace&) = delete;
  DynamoDbPlace& operator=(const DynamoDbPlace&) = delete;
  ~DynamoDbPlace() override { store_->TearDown("", base::Deadline::After(kTableTimeMax)); }

  std::unique_ptr<store::Store> Open() override { return OpenDynamoDb(url_); }

 private:
  const std::string url_ = DynamoDbServer::Shared().Url(
      fmt::format("{},{}", DynamoDbServer::NewTable(), DynamoDbServer::NewTable()), "&create=true");
  std::unique_ptr<store::Store> store_ = OpenDynamoDb(url_);
};

net::Credentials MadeUpCredentials() {
  net::Credentials credentials;
  credentials.access_key_id = "AKIATESTTESTTEST0001";
  credentials.secret_access_key = "no-server-checks-this-secret";
  return credentials;
}

}  // namespace

bool DynamoDbServer::IsInstalled() {
  return test::IsInstalled("node") && base::FileExists(kProgram);
}

DynamoDbServer& DynamoDbServer::Shared() {
  static DynamoDbServer server(Storage::kMemory);
  return server;
}

DynamoDbServer::DynamoDbServer(Storage storage) {
  ProgramOptions options;
  options.program = FindProgram("node");
  options.arguments = {
      kProgram,          "--host", "127.0.0.1",       "--port", std::to_string(port_),
      "--createTableMs", "0",      "--deleteTableMs", "0"};
  options.working_directory = "/";
  if (storage == Storage::kDisk) {
    folder_ = std::make_unique<base::TemporaryDirectory>("/tmp", "lambdaml_dynamodb_");
    options.arguments.insert(options.arguments.end(), {"--path", folder_->path()});
  }
  process_ = std::make_unique<ServerProcess>(std::move(options),
                                             [this] { return AcceptsConnections(port_); });
}

std::string DynamoDbServer::endpoint() const { return fmt::format("http://127.0.0.1:{}", port_); }

std::string DynamoDbServer::Url(const std::string& tables, const std::string& more) const {
  return fmt::format("dynamodb://{}?endpoint={}&region=us-east-1{}", tables, endpoint(), more);
}

std::string DynamoDbServer::NewTable() {
  static std::atomic<int> count = 0;
  return fmt::format("table-{}", ++count);
}

std::vector<std::string> DynamoDbServer::Environment() const {
  return {"AWS_ENDPOINT_URL_DYNAMODB=" + endpoint(), "AWS_REGION=us-east-1",
          "AWS_ACCESS_KEY_ID=" + MadeUpCredentials().access_key_id,
          "AWS_SECRET_ACCESS_KEY=" + MadeUpCredentials().secret_access_key};
}

std::unique_ptr<store::DynamoDbStore> OpenDynamoDb(const std::string& url) {
  return std::make_unique<store::DynamoDbStore>(url, net::FixedCredentials(MadeUpCredentials()));
}

StoreBackend DynamoDbBackend() {
  return {.name = "DynamoDb",
          .is_shared_by_processes = true,
          .make_place = [] { return std::make_unique<DynamoDbPlace>(); },
          .skip_reason = DynamoDbServer::IsInstalled() ? "" : DynamoDbServer::kMissing,
          .race_rounds = 10};
}

}  // namespace lambdaml::test
