#include "e2e/services.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fmt/format.h>
#include <stdexcept>

#include "lambdaml/base/error.h"
#include "lambdaml/store/open_store.h"

#include "support/servers/dynamodb_server.h"
#include "support/servers/memcached_server.h"
#include "support/servers/redis_server.h"
#include "support/servers/rgw_server.h"

namespace lambdaml::test {
namespace {

// Each a place of its own on the shared server.
std::string NewPrefix() {
  static int count = 0;
  return fmt::format("e2e{}", ++count);
}

// A server that keeps its tables over a restart, as DynamoDB does.
DynamoDbServer& DurableDynamoDb() {
  static DynamoDbServer server(DynamoDbServer::Storage::kDisk);
  return server;
}

}  // namespace

const std::vector<Service>& AllServices() {
  static const std::vector<Service> services = {
      {"S3", "s3",
       [] {
         RgwServer& server = RgwServer::Shared();
         static const std::string bucket = server.MakeBucket();
         return fmt::format("s3://{}/{}?endpoint={}", bucket, NewPrefix(), server.endpoint());
       },
       []() -> ServerProcess& { return RgwServer::Shared().gateway(); }, 100},
      {"Memcached", "memcached", [] { return MemcachedServer::Shared().url(NewPrefix()); },
       []() -> ServerProcess& { return MemcachedServer::Shared().process(); }, 3000},
      {"Redis", "redis", [] { return RedisServer::Shared().FreshUrl(); },
       []() -> ServerProcess& { return RedisServer::Shared().process(); }, 3000},
      {"DynamoDB", "dynamodb",
       [] { return DurableDynamoDb().Url(DynamoDbServer::NewTable(), "&create=true"); },
       []() -> ServerProcess& { return DurableDynamoDb().process(); }, 60},
  };
  return services;
}

const Service& ServiceOf(const std::string& kind) {
  const auto service = std::ranges::find(AllServices(), kind, &Service::kind);
  if (service == AllServices().end()) throw std::runtime_error("no such service: " + kind);
  return *service;
}

std::string MissingServices() {
  if (!RgwServer::IsInstalled()) return RgwServer::kMissing;
  if (!MemcachedServer::IsInstalled()) return MemcachedServer::kMissing;
  if (!RedisServer::IsInstalled()) return RedisServer::kMissing;
  if (!DynamoDbServer::IsInstalled()) return DynamoDbServer::kMissing;
  return "";
}

std::vector<std::string> ServiceCredentials() {
  std::vector<std::string> variables = RgwServer::Shared().Environment();
  for (const std::string& variable : variables) {
    const size_t equals = variable.find('=');
    ::setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
  }
  return variables;
}

std::vector<std::string> KeysLeft(const std::string& url) {
  const base::Deadline deadline = base::Deadline::After(std::chrono::seconds(30));
  try {
    return store::OpenStore(url)->List("", deadline);
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::kNotFound) throw;
    return {};
  }
}

}  // namespace lambdaml::test
