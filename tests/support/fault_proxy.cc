#include "support/fault_proxy.h"

#include <vector>

namespace lambdaml::test {
namespace {

constexpr const char* kUnavailableAnswer =
    "HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

}  // namespace

FaultProxy::FaultProxy(int server_port, const ProxyFaults& faults)
    : faults_(faults), random_(faults.seed), proxy_(server_port, [this] { return MakeHooks(); }) {}

TcpProxy::Hooks FaultProxy::MakeHooks() {
  const auto connection = std::make_shared<Connection>();
  return {[this, connection](std::string* bytes) { return Request(*connection, bytes); },
          [this, connection](std::string* bytes) { return Reply(*connection, bytes); }};
}

FaultProxy::Failure FaultProxy::DrawFailure() {
  const std::lock_guard lock(mutex_);
  if (random_.Uniform() >= faults_.failure_probability) return Failure::kNone;
  ++failures_;
  std::vector<Failure> kinds = {Failure::kNoRequest, Failure::kNoAnswer, Failure::kHalfAnswer};
  if (faults_.cuts_requests) kinds.push_back(Failure::kHalfRequest);
  if (faults_.speaks_http) kinds.push_back(Failure::kUnavailable);
  return kinds[random_.Below(kinds.size())];
}

void FaultProxy::DrawDamage(std::string* bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes->empty() || random_.Uniform() >= faults_.damage_probability) return;
  ++failures_;
  char& byte = (*bytes)[random_.Below(bytes->size())];
  byte = static_cast<char>(byte ^ (1 << random_.Below(8)));
}

bool FaultProxy::Request(Connection& connection, std::string* bytes) {
  if (connection.is_asking) return true;
  connection.is_asking = true;
  DrawDamage(bytes);
  connection.failure = DrawFailure();
  if (connection.failure == Failure::kNoRequest) bytes->clear();
  if (connection.failure == Failure::kHalfRequest) bytes->resize(bytes->size() / 2);
  return connection.failure != Failure::kNoRequest && connection.failure != Failure::kHalfRequest;
}

bool FaultProxy::Reply(Connection& connection, std::string* bytes) {
  if (!connection.is_asking) return true;
  connection.is_asking = false;
  DrawDamage(bytes);
  base::SystemClock().SleepFor(faults_.latency);
  if (connection.failure == Failure::kNoAnswer) bytes->clear();
  if (connection.failure == Failure::kHalfAnswer) bytes->resize(bytes->size() / 2);
  if (connection.failure == Failure::kUnavailable) *bytes = kUnavailableAnswer;
  return connection.failure == Failure::kNone;
}

}  // namespace lambdaml::test
