#include "comm/raw_client.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/net/base64.h"
#include "lambdaml/net/sigv4.h"

#include "support/servers/rgw_server.h"

namespace lambdaml::bench {
namespace {

class Connection {
 public:
  explicit Connection(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const int yes = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (::connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw std::runtime_error("cannot connect");
    }
  }

  // False once the server has closed it, as some do with connections that rest for seconds.
  bool IsOpen() const {
    char byte = 0;
    return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
  }

  void Send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) throw std::runtime_error("cannot send");
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }

  // Takes exactly so many bytes; they stay where the last call's stood.
  void Receive(uint64_t size_bytes) {
    buffer_.resize(std::max(buffer_.size(), static_cast<size_t>(size_bytes)));
    for (uint64_t received = 0; received < size_bytes;) {
      const ssize_t count =
          ::recv(socket_.get(), buffer_.data() + received, size_bytes - received, 0);
      if (count <= 0) throw std::runtime_error("cannot receive");
      received += static_cast<uint64_t>(count);
    }
  }

  // Takes the answer of an HTTP request.
  void ReceiveHttp() {
    std::array<char, 16384> start{};
    size_t size = 0;
    std::string_view head;
    size_t head_end = head.npos;
    while (head_end == head.npos) {
      const ssize_t count = ::recv(socket_.get(), start.data() + size, start.size() - size, 0);
      if (count <= 0) throw std::runtime_error("cannot receive");
      size += static_cast<size_t>(count);
      head = std::string_view(start.data(), size);
      head_end = head.find("\r\n\r\n");
    }
    if (!head.starts_with("HTTP/1.1 200")) throw std::runtime_error(std::string(head));
    const std::string_view name = "ontent-Length: ";
    const size_t field = head.find(name);
    if (field >= head_end) throw std::runtime_error("no length: " + std::string(head));
    uint64_t body_size_bytes = 0;
    std::from_chars(head.data() + field + name.size(), head.data() + head_end, body_size_bytes);
    Receive(body_size_bytes - (size - head_end - 4));
  }

 private:
  base::FileDescriptor socket_;
  std::string buffer_;
};

using Segments = std::vector<std::pair<std::string, std::string_view>>;  // name, bytes

Segments Cut(const std::string& name, base::ByteSpan value, uint64_t segment_size_bytes) {
  Segments segments;
  std::string_view left = base::AsText(value);
  do {
    segments.emplace_back(fmt::format("{}.{}", name, segments.size()),
                          left.substr(0, segment_size_bytes));
    left.remove_prefix(segments.back().second.size());
  } while (!left.empty());
  return segments;
}

// Services whose connections carry many requests at once, and whose answers have known sizes.
class PipelinedClient : public RawClient {
 public:
  PipelinedClient(int port, uint64_t segment_size_bytes)
      : connection_(port), segment_size_bytes_(segment_size_bytes) {}

  void Prepare(const std::string& name, base::ByteSpan value) final {
    Exchange& put = puts_[name];
    Exchange& get = gets_[name];
    put = get = {};
    for (const auto& [key, bytes] : Cut(name, value, segment_size_bytes_)) {
      AddPut(key, bytes, put);
      AddGet(key, bytes.size(), get);
    }
  }
  void Put(std::span<const std::string> names) final { Run(puts_, names); }
  void Get(std::span<const std::string> names) final { Run(gets_, names); }

 protected:
  struct Exchange {
    std::string request;
    uint64_t answer_size_bytes = 0;
  };
  virtual void AddPut(const std::string& key, std::string_view bytes, Exchange& exchange) = 0;
  virtual void AddGet(const std::string& key, size_t size_bytes, Exchange& exchange) = 0;

 private:
  void Run(const std::map<std::string, Exchange>& exchanges, std::span<const std::string> names) {
    for (const std::string& name : names) connection_.Send(exchanges.at(name).request);
    for (const std::string& name : names) connection_.Receive(exchanges.at(name).answer_size_bytes);
  }

  Connection connection_;
  const uint64_t segment_size_bytes_;
  std::map<std::string, Exchange> puts_;
  std::map<std::string, Exchange> gets_;
};

class MemcachedClient final : public PipelinedClient {
 public:
  using PipelinedClient::PipelinedClient;

 private:
  void AddPut(const std::string& key, std::string_view bytes, Exchange& exchange) override {
    exchange.request += fmt::format("set {} 0 0 {}\r\n{}\r\n", key, bytes.size(), bytes);
    exchange.answer_size_bytes += std::string_view("STORED\r\n").size();
  }
  void AddGet(const std::string& key, size_t size_bytes, Exchange& exchange) override {
    exchange.request += fmt::format("get {}\r\n", key);
    const std::string head = fmt::format("VALUE {} 0 {}\r\n", key, size_bytes);
    exchange.answer_size_bytes += head.size() + size_bytes + std::string_view("\r\nEND\r\n").size();
  }
};

class RedisClient final : public PipelinedClient {
 public:
  using PipelinedClient::PipelinedClient;

 private:
  void AddPut(const std::string& key, std::string_view bytes, Exchange& exchange) override {
    exchange.request += fmt::format("*3\r\n$3\r\nSET\r\n${}\r\n{}\r\n${}\r\n{}\r\n", key.size(),
                                    key, bytes.size(), bytes);
    exchange.answer_size_bytes += std::string_view("+OK\r\n").size();
  }
  void AddGet(const std::string& key, size_t size_bytes, Exchange& exchange) override {
    exchange.request += fmt::format("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", key.size(), key);
    exchange.answer_size_bytes +=
        fmt::format("${}\r\n", size_bytes).size() + size_bytes + std::string_view("\r\n").size();
  }
};

// One request at a time on a connection, so several connections.
class HttpClient : public RawClient {
 public:
  explicit HttpClient(int port) : port_(port) {}

  void Put(std::span<const std::string> names) final { Run(puts_, names); }
  void Get(std::span<const std::string> names) final { Run(gets_, names); }

 protected:
  using Requests = std::map<std::string, std::vector<std::string>>;  // by name of the value

  int port() const { return port_; }

  Requests puts_;
  Requests gets_;

 private:
  static constexpr size_t kConnectionsMax = 4;

  void Run(const Requests& requests, std::span<const std::string> names) {
    std::vector<const std::string*> all;
    for (const std::string& name : names) {
      for (const std::string& request : requests.at(name)) all.push_back(&request);
    }
    for (size_t begin = 0; begin < all.size(); begin += kConnectionsMax) {
      const size_t count = std::min(kConnectionsMax, all.size() - begin);
      connections_.resize(std::max(connections_.size(), count));
      for (size_t i = 0; i < count; ++i) {
        auto& connection = connections_[i];
        if (!connection || !connection->IsOpen()) connection = std::make_unique<Connection>(port_);
      }
      for (size_t i = 0; i < count; ++i) connections_[i]->Send(*all[begin + i]);
      for (size_t i = 0; i < count; ++i) connections_[i]->ReceiveHttp();
    }
  }

  const int port_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

class S3Client final : public HttpClient {
 public:
  S3Client(int port, std::string place) : HttpClient(port), place_(std::move(place)) {}

  void Prepare(const std::string& name, base::ByteSpan value) override {
    const std::string path = fmt::format("/{}/raw/{}", place_, name);
    puts_[name] = {Head("PUT", path, value.size()) + std::string(base::AsText(value))};
    gets_[name] = {Head("GET", path, 0)};
  }

 private:
  std::string Head(std::string_view method, const std::string& path, size_t size_bytes) const {
    const std::string host = fmt::format("127.0.0.1:{}", port());
    const net::UnsignedRequest request = {.method = method,
                                          .host = host,
                                          .path = path,
                                          .query = {},
                                          .headers = {},
                                          .payload_hash = net::kUnsignedPayload};
    std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n", method,
                                   path, host, size_bytes);
    for (const net::HttpHeader& header :
         net::Sign(request, {"us-east-1", "s3"}, test::RgwServer::credentials(),
                   std::chrono::system_clock::now())) {
      head += fmt::format("{}: {}\r\n", header.name, header.value);
    }
    return head + "\r\n";
  }

  const std::string place_;
};

class DynamoDbClient final : public HttpClient {
 public:
  DynamoDbClient(int port, const std::string& place, uint64_t segment_size_bytes)
      : HttpClient(port),
        table_(place.substr(0, place.find(','))),
        segment_size_bytes_(segment_size_bytes) {}

  void Prepare(const std::string& name, base::ByteSpan value) override {
    // The most items of this size that a batch may hold.
    constexpr uint64_t kBatchSizeMaxBytes = 11 << 20;  // becomes 16 MB as base64 and names
    const Segments segments = Cut(name, value, segment_size_bytes_);
    const size_t items_max =
        std::max<size_t>(1, kBatchSizeMaxBytes / segments.front().second.size());
    puts_[name] = gets_[name] = {};
    for (size_t begin = 0; begin < segments.size(); begin += std::min<size_t>(items_max, 25)) {
      std::string items;
      for (size_t i = begin; i < std::min(begin + std::min<size_t>(items_max, 25), segments.size());
           ++i) {
        const auto& [key, bytes] = segments[i];
        items += fmt::format(
            R"({}{{"PutRequest":{{"Item":{{"key":{{"S":"raw/{}"}},"value":{{"B":"{}"}}}}}}}})",
            items.empty() ? "" : ",", key, net::Base64Encode(base::AsBytes(bytes)));
      }
      puts_[name].push_back(Request(
          "BatchWriteItem", fmt::format(R"({{"RequestItems":{{"{}":[{}]}}}})", table_, items)));
    }
    for (size_t begin = 0; begin < segments.size(); begin += std::min<size_t>(items_max, 100)) {
      std::string keys;
      for (size_t i = begin;
           i < std::min(begin + std::min<size_t>(items_max, 100), segments.size()); ++i) {
        keys += fmt::format(R"({}{{"key":{{"S":"raw/{}"}}}})", keys.empty() ? "" : ",",
                            segments[i].first);
      }
      gets_[name].push_back(Request(
          "BatchGetItem",
          fmt::format(R"({{"RequestItems":{{"{}":{{"ConsistentRead":true,"Keys":[{}]}}}}}})",
                      table_, keys)));
    }
  }

 private:
  std::string Request(std::string_view operation, const std::string& body) const {
    return fmt::format(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Amz-Target: DynamoDB_20120810.{}\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Date: 20260101T000000Z\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/dynamodb/aws4_request, "
        "SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{}",
        port(), operation, body.size(), body);
  }

  const std::string table_;
  const uint64_t segment_size_bytes_;
};

}  // namespace

std::unique_ptr<RawClient> MakeRawClient(const std::string& service, const std::string& place,
                                         int port, uint64_t segment_size_bytes) {
  if (service == "S3") return std::make_unique<S3Client>(port, place);
  if (service == "Memcached") return std::make_unique<MemcachedClient>(port, segment_size_bytes);
  if (service == "Redis") return std::make_unique<RedisClient>(port, segment_size_bytes);
  if (service == "DynamoDb") {
    return std::make_unique<DynamoDbClient>(port, place, segment_size_bytes);
  }
  throw std::runtime_error("no raw client of " + service);
}

}  // namespace lambdaml::bench
