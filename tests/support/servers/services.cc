#include "support/servers/services.h"

#include <fmt/format.h>
#include <optional>

#include "lambdaml/net/credentials.h"
#include "lambdaml/store/memcached_store.h"
#include "lambdaml/store/redis_store.h"
#include "lambdaml/store/s3_location.h"
#include "lambdaml/store/s3_store.h"
#include "lambdaml/store/store_url.h"

#include "support/servers/dynamodb_server.h"
#include "support/servers/memcached_server.h"
#include "support/servers/redis_server.h"
#include "support/servers/rgw_server.h"

namespace lambdaml::test {
namespace {

class S3Service final : public Service {
 public:
  ServerProcess& process() override { return server_.gateway(); }
  int port() const override { return server_.port(); }
  std::string MakePlace() override { return server_.MakeBucket() + "/prefix"; }
  std::string Url(const std::string& place, int port) const override {
    return fmt::format("s3://{}?endpoint=http://127.0.0.1:{}&region=us-east-1", place, port);
  }
  std::unique_ptr<store::Store> Open(const std::string& place, int port) const override {
    const auto nothing_set = [](const std::string&) { return std::nullopt; };
    return std::make_unique<store::S3Store>(
        store::LocateS3(store::StoreUrl::Parse(Url(place, port)), nothing_set),
        net::FixedCredentials(RgwServer::credentials()));
  }

 private:
  RgwServer& server_ = RgwServer::Shared();
};

class MemcachedService final : public Service {
 public:
  ServerProcess& process() override { return server_.process(); }
  int port() const override { return server_.port(); }
  std::string MakePlace() override { return fmt::format("place{}", ++place_count_); }
  std::string Url(const std::string& place, int port) const override {
    return fmt::format("memcached://127.0.0.1:{}/{}", port, place);
  }
  std::unique_ptr<store::Store> Open(const std::string& place, int port) const override {
    return std::make_unique<store::MemcachedStore>(Url(place, port));
  }

 private:
  MemcachedServer server_{{"-m", "2048"}};
  int place_count_ = 0;
};

class RedisService final : public Service {
 public:
  ServerProcess& process() override { return server_.process(); }
  int port() const override { return server_.port(); }
  std::string MakePlace() override { return fmt::format("place{}", ++place_count_); }
  std::string Url(const std::string& place, int port) const override {
    return fmt::format("redis://127.0.0.1:{}?prefix={}", port, place);
  }
  std::unique_ptr<store::Store> Open(const std::string& place, int port) const override {
    return std::make_unique<store::RedisStore>(Url(place, port));
  }

 private:
  RedisServer server_;
  int place_count_ = 0;
};

class DynamoDbService final : public Service {
 public:
  ServerProcess& process() override { return server_.process(); }
  int port() const override { return server_.port(); }
  std::string MakePlace() override {
    std::string tables =
        fmt::format("{},{}", DynamoDbServer::NewTable(), DynamoDbServer::NewTable());
    OpenDynamoDb(server_.Url(tables, "&create=true"))
        ->Prepare(base::Deadline::After(std::chrono::minutes(1)));
    return tables;
  }
  std::string Url(const std::string& place, int port) const override {
    return fmt::format("dynamodb://{}?endpoint=http://127.0.0.1:{}&region=us-east-1", place, port);
  }
  std::unique_ptr<store::Store> Open(const std::string& place, int port) const override {
    return OpenDynamoDb(Url(place, port));
  }

 private:
  DynamoDbServer server_{DynamoDbServer::Storage::kDisk};
};

template <typename Kind>
Service& Shared() {
  static Kind service;
  return service;
}

}  // namespace

std::vector<ServiceKind> AllServices() {
  return {
      {.name = "S3",
       .scheme = "s3",
       .skip_reason = RgwServer::IsInstalled() ? "" : RgwServer::kMissing,
       .speaks_http = true,
       .shared = Shared<S3Service>},
      {.name = "Memcached",
       .scheme = "memcached",
       .skip_reason = MemcachedServer::IsInstalled() ? "" : MemcachedServer::kMissing,
       .shared = Shared<MemcachedService>},
      {.name = "Redis",
       .scheme = "redis",
       .skip_reason = RedisServer::IsInstalled() ? "" : RedisServer::kMissing,
       .shared = Shared<RedisService>},
      {.name = "DynamoDb",
       .scheme = "dynamodb",
       .skip_reason = DynamoDbServer::IsInstalled() ? "" : DynamoDbServer::kMissing,
       .speaks_http = true,
       .survives_half_requests = false,
       .shared = Shared<DynamoDbService>},
  };
}

}  // namespace lambdaml::test
