// A real S3 server for tests: Ceph's object gateway (radosgw) with the monitor and the one storage
// daemon it needs, all state in a temporary folder and in memory. Up in one to two seconds.
//
// It checks signatures, session tokens included, and conditional writes as a production server
// does, because it is one. Debian packages: radosgw, ceph-mon, ceph-osd.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/net/credentials.h"

#include "support/servers/server_process.h"

namespace lambdaml::test {

// Threads: one, except for the accessors.
class RgwServer {
 public:
  // Whether all programs of it are installed; if not: GTEST_SKIP() << RgwServer::kMissing.
  static bool IsInstalled();
  static constexpr const char* kMissing = "Ceph is not installed: radosgw, ceph-mon, ceph-osd";

  // The server of this process, started by the first call and ended with the process.
  static RgwServer& Shared();

  RgwServer();

  int port() const { return port_; }
  std::string endpoint() const;       // http://127.0.0.1:port
  std::string host_endpoint() const;  // http://localhost:port, for http://bucket.localhost:port
  // s3://<path>?endpoint=…
  std::string Url(const std::string& path) const;
  // Of the owner of all buckets. The secret has characters that need encoding in URLs, as real ones
  // do.
  static net::Credentials credentials();
  // Of another user, who may do nothing with the owner's buckets.
  net::Credentials MakeStranger() const;

  // Creates a bucket with a name that was not there before, and returns it.
  std::string MakeBucket();

  // "AWS_…=value", with which programs find this server and may use it.
  std::vector<std::string> Environment() const;

  // The gateway alone, to kill, pause and start again: what it has stored survives that.
  ServerProcess& gateway() { return *gateway_; }

 private:
  std::string PathOf(const std::string& name) const { return folder_.path() + "/" + name; }
  ProgramOptions Command(const std::string& program, std::vector<std::string> arguments) const;
  void Run(const std::string& program, const std::vector<std::string>& arguments) const;
  void StartMonitor();
  void StartStorage();
  void MakeUser(const std::string& name, const net::Credentials& credentials) const;
  void StartGateway();

  base::TemporaryDirectory folder_;
  const int monitor_port_ = FreePort();
  const int port_ = FreePort();
  int bucket_count_ = 0;
  std::unique_ptr<ServerProcess> monitor_;
  std::unique_ptr<ServerProcess> storage_;
  std::unique_ptr<ServerProcess> gateway_;
};

}  // namespace lambdaml::test
