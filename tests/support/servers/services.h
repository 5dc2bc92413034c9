// The services behind one interface: a server of each kind to run jobs over, to disturb, and to put
// a proxy in front of.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "lambdaml/store/store.h"

#include "support/servers/server_process.h"

namespace lambdaml::test {

// One server. Threads: one, except for Open.
class Service {
 public:
  virtual ~Service() = default;

  // To kill, pause and start again. What S3 and DynamoDB hold survives that.
  virtual ServerProcess& process() = 0;
  virtual int port() const = 0;

  // Makes a place that nobody has used, and returns its name.
  virtual std::string MakePlace() = 0;
  // Its URL, through a port of 127.0.0.1: the server's own or a proxy's. Credentials for it are
  // those of RgwServer::Environment().
  virtual std::string Url(const std::string& place, int port) const = 0;
  // A store there.
  virtual std::unique_ptr<store::Store> Open(const std::string& place, int port) const = 0;
};

struct ServiceKind {
  std::string name;
  std::string scheme;       // of its URLs
  std::string skip_reason;  // why it cannot be tested here; empty if it can
  bool speaks_http = false;
  bool survives_half_requests = true;  // dynalite ends when a client goes in the middle of one
  // The server of this process, started by the first call and ended with the process.
  Service& (*shared)() = nullptr;
};

inline std::ostream& operator<<(std::ostream& out, const ServiceKind& kind) {
  return out << kind.name;
}

// S3, Memcached, Redis, DynamoDb.
std::vector<ServiceKind> AllServices();

}  // namespace lambdaml::test
