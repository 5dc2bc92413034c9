#include "lambdaml/ps/server.h"

#include <condition_variable>
#include <exception>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <thrift/TOutput.h>
#include <thrift/TProcessor.h>
#include <thrift/protocol/TProtocol.h>
#include <thrift/transport/TSSLServerSocket.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/log.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/ps/metrics_endpoint.h"
#include "lambdaml/ps/processor.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::TException;
using apache::thrift::TProcessor;
using apache::thrift::protocol::TProtocol;
using apache::thrift::transport::TServerSocket;
using apache::thrift::transport::TSocket;
using apache::thrift::transport::TSSLServerSocket;
using apache::thrift::transport::TSSLSocketFactory;
using apache::thrift::transport::TTransport;
using apache::thrift::transport::TTransportException;
using base::Error;
using base::ErrorCode;

constexpr base::Duration kSampleInterval = std::chrono::seconds(1);
constexpr base::Duration kDrainPoll = std::chrono::milliseconds(20);

// Who connects to the server needs no name that matches: what counts is who has signed.
class AnyName final : public apache::thrift::transport::AccessManager {
 public:
  Decision verify(const sockaddr_storage& /*address*/) noexcept override { return ALLOW; }
};

bool UsesTls(const ServerOptions& options) { return !options.tls_cert_file.empty(); }

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

void CheckOptions(const ServerOptions& options) {
  const auto refuse = [](const char* why) { throw Error(ErrorCode::kInvalidArgument, why); };
  if (options.tls_cert_file.empty() != options.tls_key_file.empty()) {
    refuse("--tls_cert and --tls_key go together");
  }
  if (!options.client_ca_file.empty() && !UsesTls(options)) {
    refuse("--tls_client_ca needs --tls_cert and --tls_key");
  }
}

std::shared_ptr<TServerSocket> MakeListener(const ServerOptions& options) {
  if (!UsesTls(options)) return std::make_shared<TServerSocket>(options.host, options.port);
  try {
    const auto factory = std::make_shared<TSSLSocketFactory>(apache::thrift::transport::LATEST);
    factory->loadCertificate(options.tls_cert_file.c_str());
    factory->loadPrivateKey(options.tls_key_file.c_str());
    if (!options.client_ca_file.empty()) {
      factory->loadTrustedCertificates(options.client_ca_file.c_str());
      factory->authenticate(true);
      factory->access(std::make_shared<AnyName>());
    }
    return std::make_shared<TSSLServerSocket>(options.host, options.port, factory);
  } catch (const TException& error) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("--tls_cert {}, --tls_key {}: {}", options.tls_cert_file,
                            options.tls_key_file, error.what()));
  }
}

void WarnIfOpen(const ServerOptions& options) {
  if (IsLoopback(options.host)) return;
  const bool has_token = !options.service.token.empty();
  if (!has_token && options.client_ca_file.empty()) {
    base::Log(base::LogLevel::kWarning,
              fmt::format("ps event=open host={} reason=\"everybody who reaches this address can "
                          "read and write all models: set LAMBDAML_PS_TOKEN or --tls_client_ca, "
                          "or let a security group decide who reaches it\"",
                          options.host));
  }
  if (!UsesTls(options)) {
    base::Log(base::LogLevel::kWarning,
              fmt::format("ps event=unencrypted host={} reason=\"{} travel{} in the clear: "
                          "give --tls_cert and --tls_key\"",
                          options.host, has_token ? "models and the token" : "models", ""));
  }
}

}  // namespace

struct Server::State {
  explicit State(ServerOptions given)
      : options(std::move(given)), service(options.service), listener(MakeListener(options)) {}

  void Listen();
  void AcceptConnections();
  void Begin(std::shared_ptr<TSocket> socket);
  void ServeConnection(const std::shared_ptr<TSocket>& socket);
  void Monitor();
  void Drain();
  void End();

  const ServerOptions options;
  Service service;
  std::shared_ptr<TServerSocket> listener;
  std::unique_ptr<MetricsEndpoint> metrics;
  std::thread acceptor;
  std::thread monitor;

  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  bool is_stopping = false;
  int connection_count = 0;
};

void Server::State::Listen() {
  listener->setKeepAlive(true);
  try {
    listener->listen();
  } catch (const TException& error) {
    throw Error(ErrorCode::kUnavailable,
                fmt::format("cannot listen on {}: {}", net::PlaceName(options.host, options.port),
                            error.what()));
  }
}

void Server::State::AcceptConnections() {
  for (;;) {
    std::shared_ptr<TTransport> client;
    try {
      client = listener->accept();
    } catch (const TTransportException& error) {
      const std::lock_guard lock(mutex);
      if (is_stopping) return;
      // No descriptor is free, or the peer has gone already.
      base::Log(base::LogLevel::kWarning,
                fmt::format("ps event=not_accepted reason=\"{}\"", error.what()));
      continue;
    }
    Begin(std::dynamic_pointer_cast<TSocket>(client));
  }
}

void Server::State::Begin(std::shared_ptr<TSocket> socket) {
  ServiceCounters& counters = service.counters();
  {
    const std::lock_guard lock(mutex);
    if (is_stopping || connection_count >= options.connections_max) {
      counters.connections_refused.fetch_add(1);
      socket->close();
      return;
    }
    ++connection_count;
  }
  counters.connections_accepted.fetch_add(1);
  counters.connections_open.fetch_add(1);
  try {
    std::thread([this, socket = std::move(socket)] {
      ServeConnection(socket);
      service.counters().connections_open.fetch_sub(1);
      const std::lock_guard lock(mutex);
      --connection_count;
      changed.notify_all();
    }).detach();
  } catch (const std::system_error& error) {
    base::Log(base::LogLevel::kWarning,
              fmt::format("ps event=not_served reason=\"{}\"", error.what()));
    counters.connections_open.fetch_sub(1);
    const std::lock_guard lock(mutex);
    --connection_count;
  }
}

// A thread's entry: nothing leaves it.
void Server::State::ServeConnection(const std::shared_ptr<TSocket>& socket) {
  std::string peer = "unknown";
  try {
    peer = socket->getSocketInfo();
    const std::shared_ptr<TProtocol> protocol =
        MakeServerProtocol(socket, options.transport, service.budget(), service.transport_meter());
    const std::shared_ptr<TProcessor> processor = MakeProcessor(service);
    while (processor->process(protocol, protocol, nullptr)) {
    }
  } catch (const TTransportException& error) {
    // The usual end is that the peer has closed the connection.
    if (error.getType() != TTransportException::END_OF_FILE) {
      base::Log(base::LogLevel::kDebug,
                fmt::format("ps event=dropped peer=\"{}\" reason=\"{}\"", peer, error.what()));
    }
  } catch (const std::exception& error) {
    base::Log(base::LogLevel::kInfo,
              fmt::format("ps event=dropped peer=\"{}\" reason=\"{}\"", peer, error.what()));
  }
  try {
    socket->close();
  } catch (const TException&) {
    // It is gone already.
  }
}

void Server::State::Monitor() {
  base::Deadline next_look = base::Deadline::After(options.interval);
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, kSampleInterval, [this] { return is_stopping; })) {
    lock.unlock();
    service.SampleRates();
    if (next_look.Expired()) {
      service.Expire(options.idle_max);
      next_look = base::Deadline::After(options.interval);
    }
    lock.lock();
  }
}

void Server::State::Drain() {
  service.jobs().Drain();
  const base::Deadline grace = base::Deadline::After(options.stop_grace);
  while (service.jobs().has_unfinished_round() && !grace.Expired()) {
    std::this_thread::sleep_for(kDrainPoll);
  }
}

void Server::State::End() {
  {
    const std::lock_guard lock(mutex);
    is_stopping = true;
    changed.notify_all();
  }
  listener->interrupt();
  if (acceptor.joinable()) acceptor.join();
  if (monitor.joinable()) monitor.join();
  metrics.reset();
  service.jobs().Stop();
  listener->interruptChildren();
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return connection_count == 0; });
}

Server::Server(ServerOptions options) {
  CheckOptions(options);
  apache::thrift::GlobalOutput.setOutputFunction([](const char*) {});  // errors are exceptions too
  state_ = std::make_unique<State>(std::move(options));
  state_->Listen();
  const ServerOptions& given = state_->options;
  if (given.metrics_port >= 0) {
    state_->metrics =
        std::make_unique<MetricsEndpoint>(given.host, given.metrics_port, state_->service);
  }
  WarnIfOpen(given);
  state_->acceptor = std::thread([state = state_.get()] { state->AcceptConnections(); });
  state_->monitor = std::thread([state = state_.get()] { state->Monitor(); });
  base::Log(base::LogLevel::kInfo,
            fmt::format("ps event=listening address={} tls={} token={} folder=\"{}\"",
                        net::PlaceName(given.host, port()), UsesTls(given),
                        !given.service.token.empty(), given.service.folder));
}

Server::~Server() { state_->End(); }

int Server::port() const { return state_->listener->getPort(); }
int Server::metrics_port() const { return state_->metrics ? state_->metrics->port() : -1; }
Service& Server::service() { return state_->service; }

void Server::Stop() {
  state_->Drain();
  state_->End();
}

}  // namespace lambdaml::ps
