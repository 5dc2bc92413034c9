#include "support/scripted_http_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <optional>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace lambdaml::test {
namespace {

// Bytes of a connection, taken in the pieces that HTTP needs.
class Reader {
 public:
  explicit Reader(int socket) : socket_(socket) {}

  // Up to and without the delimiter; nothing at the connection's end.
  std::optional<std::string> Until(const std::string& delimiter) {
    size_t end = buffer_.find(delimiter);
    while (end == std::string::npos) {
      if (!Fill()) return std::nullopt;
      end = buffer_.find(delimiter);
    }
    std::string text = buffer_.substr(0, end);
    buffer_.erase(0, end + delimiter.size());
    return text;
  }

  std::optional<std::string> Exactly(size_t size) {
    while (buffer_.size() < size) {
      if (!Fill()) return std::nullopt;
    }
    std::string text = buffer_.substr(0, size);
    buffer_.erase(0, size);
    return text;
  }

 private:
  bool Fill() {
    char piece[65536];
    const ssize_t size = recv(socket_, piece, sizeof piece, 0);
    if (size <= 0) return false;
    buffer_.append(piece, static_cast<size_t>(size));
    return true;
  }

  const int socket_;
  std::string buffer_;
};

std::optional<ReceivedRequest> ReadRequest(Reader& reader) {
  const std::optional<std::string> head = reader.Until("\r\n\r\n");
  if (!head) return std::nullopt;
  ReceivedRequest request;
  const size_t line_end = std::min(head->find("\r\n"), head->size());
  const size_t first_space = head->find(' ');
  const size_t second_space = head->find(' ', first_space + 1);
  if (second_space == std::string::npos) return std::nullopt;
  request.method = head->substr(0, first_space);
  request.target = head->substr(first_space + 1, second_space - first_space - 1);
  for (size_t begin = line_end; begin < head->size();) {
    begin += 2;
    const size_t end = std::min(head->find("\r\n", begin), head->size());
    const std::string line = head->substr(begin, end - begin);
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return std::nullopt;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const size_t value = std::min(line.find_first_not_of(' ', colon + 1), line.size());
    request.headers[name] = line.substr(value);
    begin = end;
  }
  const auto length = request.headers.find("content-length");
  if (length != request.headers.end()) {
    const std::optional<std::string> body = reader.Exactly(std::stoul(length->second));
    if (!body) return std::nullopt;
    request.body = *body;
  }
  return request;
}

bool SendAll(int socket, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    const ssize_t size = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) return false;
    sent += static_cast<size_t>(size);
  }
  return true;
}

}  // namespace

std::string HttpAnswer(int status, const std::string& body, const std::string& headers) {
  return "HTTP/1.1 " + std::to_string(status) + " Scripted\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

ScriptedHttpServer::ScriptedHttpServer(Script script) : script_(std::move(script)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || bind(listener_, generic, size) != 0 || listen(listener_, 128) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    throw std::runtime_error("cannot listen on 127.0.0.1");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

ScriptedHttpServer::~ScriptedHttpServer() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  stopping_.notify_all();
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  close(listener_);
}

int ScriptedHttpServer::connection_count() const {
  const std::lock_guard lock(mutex_);
  return connection_count_;
}

int ScriptedHttpServer::open_connection_count() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(sockets_.size());
}

std::vector<ReceivedRequest> ScriptedHttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void ScriptedHttpServer::Accept() {
  while (true) {
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) return;
    const std::lock_guard lock(mutex_);
    if (is_stopping_) {
      close(socket);
      return;
    }
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, number = connection_count_++] { Serve(socket, number); });
  }
}

void ScriptedHttpServer::Serve(int socket, int connection) {
  Reader reader(socket);
  while (std::optional<ReceivedRequest> request = ReadRequest(reader)) {
    ScriptedReply reply;
    {
      const std::lock_guard lock(mutex_);
      request->number = static_cast<int>(requests_.size());
      request->connection = connection;
      requests_.push_back(*request);
      reply = script_(*request);
    }
    if (!Answer(socket, reply)) break;
  }
  const std::lock_guard lock(mutex_);
  std::erase(sockets_, socket);
  close(socket);
}

// Whether the connection goes on.
bool ScriptedHttpServer::Answer(int socket, const ScriptedReply& reply) {
  using Then = ScriptedReply::Then;
  if (!Pause(reply.delay) || !SendAll(socket, reply.bytes)) return false;
  if (!Pause(reply.late_delay) || !SendAll(socket, reply.late_bytes)) return false;
  if (reply.then == Then::kReset) {
    // Closing with this option drops what is on its way and sends RST.
    const linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(socket, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  if (reply.then == Then::kSayNothing) Pause(std::chrono::hours(1));
  return reply.then == Then::kKeepOpen;
}

bool ScriptedHttpServer::Pause(base::Duration duration) {
  if (duration <= base::Duration::zero()) return true;
  std::unique_lock lock(mutex_);
  return !stopping_.wait_for(lock, duration, [this] { return is_stopping_; });
}

}  // namespace lambdaml::test
