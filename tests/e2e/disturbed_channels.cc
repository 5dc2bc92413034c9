#include "e2e/disturbed_channels.h"

#include <algorithm>
#include <chrono>

#include "lambdaml/base/json.h"
#include "lambdaml/store/open_store.h"

#include "support/servers/ps_server.h"
#include "support/servers/rgw_server.h"
#include "support/servers/services.h"

namespace lambdaml::test {
namespace {

constexpr base::Duration kSoon = std::chrono::seconds(60);

std::unique_ptr<FaultProxy> MakeProxy(int port, Requests requests, ProxyFaults faults) {
  switch (requests) {
    case Requests::kUndisturbed:
      return nullptr;
    case Requests::kFailing:
      faults.failure_probability = 0.02;
      break;
    case Requests::kLate:
      faults.latency = std::chrono::milliseconds(5);
      break;
    case Requests::kDamaged:
      faults.damage_probability = 0.002;
      break;
  }
  return std::make_unique<FaultProxy>(port, faults);
}

class FolderChannel final : public DisturbedChannel {
 public:
  explicit FolderChannel(std::string folder) : folder_(std::move(folder)) {}

  std::string name() const override { return "file"; }
  bool has_server() const override { return false; }
  Place Open(Requests, uint64_t) override { return {folder_, folder_}; }

 private:
  const std::string folder_;
};

class ServiceChannel final : public DisturbedChannel {
 public:
  explicit ServiceChannel(ServiceKind kind) : kind_(std::move(kind)) {}

  std::string name() const override { return kind_.scheme; }
  bool is_slow() const override { return kind_.speaks_http; }

  Place Open(Requests requests, uint64_t seed) override {
    Service& service = kind_.shared();
    const std::string place = service.MakePlace();
    const std::string direct_url = service.Url(place, service.port());
    auto proxy = MakeProxy(service.port(), requests,
                           {.seed = seed,
                            .speaks_http = kind_.speaks_http,
                            .cuts_requests = kind_.survives_half_requests});
    const std::string url = proxy ? service.Url(place, proxy->port()) : direct_url;
    return {url, direct_url, std::move(proxy)};
  }

 private:
  const ServiceKind kind_;
};

class PsChannel final : public DisturbedChannel {
 public:
  std::string name() const override { return "ps"; }

  Place Open(Requests requests, uint64_t seed) override {
    const PsServer& server = PsServer::Shared();
    auto proxy = MakeProxy(server.port(), requests, {.seed = seed});
    const std::string url =
        proxy ? "ps://127.0.0.1:" + std::to_string(proxy->port()) : server.url();
    return {url, server.url(), std::move(proxy)};
  }

  std::vector<std::string> Left(const Place&) const override {
    std::vector<std::string> jobs;
    for (const base::Json& job : PsServer::Shared().Status().At("jobs").AsArray()) {
      jobs.push_back(job.Dump());
    }
    return jobs;
  }
};

std::vector<ServiceKind> InstalledServices() {
  std::vector<ServiceKind> services = AllServices();
  std::erase_if(services, [](const ServiceKind& kind) { return !kind.skip_reason.empty(); });
  return services;
}

}  // namespace

const char* NameOf(Requests requests) {
  constexpr const char* kNames[] = {"", " failing", " late", " damaged"};
  return kNames[static_cast<size_t>(requests)];
}

std::vector<std::unique_ptr<DisturbedChannel>> DisturbedChannel::All(const std::string& folder) {
  std::vector<std::unique_ptr<DisturbedChannel>> channels;
  channels.push_back(std::make_unique<FolderChannel>(folder));
  channels.push_back(std::make_unique<PsChannel>());
  for (ServiceKind& kind : InstalledServices()) {
    channels.push_back(std::make_unique<ServiceChannel>(std::move(kind)));
  }
  return channels;
}

void DisturbedChannel::StartServers() {
  PsServer::Shared();
  for (const ServiceKind& kind : InstalledServices()) kind.shared();
}

std::vector<std::pair<std::string, std::string>> DisturbedChannel::Environment() {
  std::vector<std::pair<std::string, std::string>> environment;
  if (!RgwServer::IsInstalled()) return environment;
  for (const std::string& variable : RgwServer::Shared().Environment()) {
    const size_t equals = variable.find('=');
    environment.emplace_back(variable.substr(0, equals), variable.substr(equals + 1));
  }
  return environment;
}

std::vector<std::string> DisturbedChannel::Left(const Place& place) const {
  return store::OpenStore(place.direct_url)->List("", base::Deadline::After(kSoon));
}

}  // namespace lambdaml::test
