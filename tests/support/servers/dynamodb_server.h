// A DynamoDB server for tests: dynalite (npm), on a free loopback port. Its limits, conditions and
// capacity units are those of DynamoDB, its speed and its answers' largest size are not, and it
// does not check signatures.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/store/dynamodb_store.h"

#include "support/servers/server_process.h"
#include "support/store_backend.h"

namespace lambdaml::test {

// Threads: one, except for the accessors.
class DynamoDbServer {
 public:
  static bool IsInstalled();
  static constexpr const char* kMissing =
      "dynalite is not installed: tools/install_dependencies.sh test";

  // The server of this process, started by the first call and ended with the process.
  static DynamoDbServer& Shared();

  enum class Storage { kMemory, kDisk };
  // What it keeps on disk is there again after a restart.
  explicit DynamoDbServer(Storage storage);

  int port() const { return port_; }
  std::string endpoint() const;  // http://127.0.0.1:port
  // dynamodb://<tables>?endpoint=…&region=us-east-1<more>, as in Url("table", "&create=true").
  std::string Url(const std::string& tables, const std::string& more = "") const;
  // The name of a table that nobody has used.
  static std::string NewTable();

  // "AWS_…=value", with which programs find this server and may use it.
  std::vector<std::string> Environment() const;

  ServerProcess& process() { return *process_; }

 private:
  const int port_ = FreePort();
  std::unique_ptr<base::TemporaryDirectory> folder_;
  std::unique_ptr<ServerProcess> process_;
};

// A store with made-up credentials.
std::unique_ptr<store::DynamoDbStore> OpenDynamoDb(const std::string& url);

// Places are pairs of fresh tables on the shared server.
StoreBackend DynamoDbBackend();

}  // namespace lambdaml::test
