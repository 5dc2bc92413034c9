#include "lambdaml/ps/metrics_endpoint.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <string_view>
#include <thread>
#include <thrift/TOutput.h>
#include <thrift/transport/TServerSocket.h>
#include <thrift/transport/TSocket.h>

#include "lambdaml/base/error.h"
#include "lambdaml/net/tcp.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::TException;
using apache::thrift::transport::TServerSocket;
using apache::thrift::transport::TSocket;
using apache::thrift::transport::TTransport;

constexpr int kSilenceMaxMs = 500;
constexpr base::Duration kRequestMax = std::chrono::seconds(1);
constexpr size_t kRequestSizeMaxBytes = 8192;

// The request's first line, once its whole header is there; nothing for what is no request.
std::optional<std::string> ReadRequestLine(TTransport& transport) {
  const base::Deadline deadline = base::Deadline::After(kRequestMax);
  std::string request;
  while (request.find("\r\n\r\n") == request.npos && request.find("\n\n") == request.npos) {
    if (request.size() > kRequestSizeMaxBytes || deadline.Expired()) return std::nullopt;
    std::array<uint8_t, 1024> part;
    const uint32_t count = transport.read(part.data(), part.size());
    if (count == 0) return std::nullopt;
    request.append(reinterpret_cast<const char*>(part.data()), count);
  }
  return request.substr(0, request.find_first_of("\r\n"));
}

std::string Response(std::string_view status, std::string_view type, std::string_view body) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, type, body.size(), body);
}

std::string Answer(std::string_view line, const Service& service) {
  if (line.starts_with("GET /metrics ")) {
    return Response("200 OK", "text/plain; version=0.0.4", service.Metrics());
  }
  if (line.starts_with("GET /status ")) {
    return Response("200 OK", "application/json", service.Status().DumpPretty());
  }
  const bool is_get = line.starts_with("GET ");
  return Response(is_get ? "404 Not Found" : "405 Method Not Allowed", "text/plain",
                  "GET /metrics or /status\n");
}

void Serve(TSocket& socket, const Service& service) {
  socket.setRecvTimeout(kSilenceMaxMs);
  socket.setSendTimeout(kSilenceMaxMs);
  if (const auto line = ReadRequestLine(socket)) {
    const std::string answer = Answer(*line, service);
    socket.write(reinterpret_cast<const uint8_t*>(answer.data()),
                 static_cast<uint32_t>(answer.size()));
  }
  socket.close();
}

}  // namespace

struct MetricsEndpoint::State {
  State(const std::string& host, int port, const Service& served)
      : service(served), listener(host, port) {}

  const Service& service;
  TServerSocket listener;
  std::atomic<bool> is_stopping{false};
  std::thread thread;
};

MetricsEndpoint::MetricsEndpoint(const std::string& host, int port, const Service& service)
    : state_(std::make_unique<State>(host, port, service)) {
  try {
    state_->listener.listen();
  } catch (const TException& error) {
    throw base::Error(base::ErrorCode::kUnavailable,
                      fmt::format("cannot listen on {} for metrics: {}", net::PlaceName(host, port),
                                  error.what()));
  }
  state_->thread = std::thread([state = state_.get()] {
    while (!state->is_stopping.load()) {
      try {
        const std::shared_ptr<TTransport> client = state->listener.accept();
        Serve(dynamic_cast<TSocket&>(*client), state->service);
      } catch (const TException&) {
        // A peer that went away or was too slow, or the end.
      }
    }
  });
}

MetricsEndpoint::~MetricsEndpoint() {
  state_->is_stopping = true;
  state_->listener.interrupt();
  state_->listener.interruptChildren();
  state_->thread.join();
}

int MetricsEndpoint::port() const { return state_->listener.getPort(); }

}  // namespace lambdaml::ps
