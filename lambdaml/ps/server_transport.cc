#include "lambdaml/ps/server_transport.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/uio.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TSSLSocket.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TVirtualTransport.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/ps/out_buffer.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::TConfiguration;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::protocol::TProtocol;
using apache::thrift::protocol::TType;
using apache::thrift::protocol::TVirtualProtocol;
using apache::thrift::transport::TSocket;
using apache::thrift::transport::TSSLSocket;
using apache::thrift::transport::TTransportException;
using apache::thrift::transport::TVirtualTransport;

constexpr uint32_t kBufferSizeBytes = 16 * 1024;
constexpr int32_t kStringSizeMaxBytes = 64 * 1024;  // names, tokens; messages are read otherwise
constexpr uint64_t kListElementBytes = 16;          // of what generated code makes of a list

int Milliseconds(base::Duration duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

// Sends the parts in one call if the peer takes them as fast. The socket has a time limit of its
// own.
void SendParts(int socket, std::array<base::ByteSpan, 3> parts) {
  size_t first = 0;
  for (;;) {
    while (first < parts.size() && parts[first].empty()) ++first;
    if (first == parts.size()) return;
    std::array<iovec, 3> vectors;
    for (size_t i = first; i < parts.size(); ++i) {
      vectors[i - first] = {const_cast<std::byte*>(parts[i].data()),  // NOLINT: sendmsg only reads
                            parts[i].size()};
    }
    msghdr message = {};
    message.msg_iov = vectors.data();
    message.msg_iovlen = parts.size() - first;
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      throw TTransportException(
          errno == EAGAIN ? TTransportException::TIMED_OUT : TTransportException::NOT_OPEN, "send",
          errno);
    }
    auto left = static_cast<size_t>(sent);
    for (size_t i = first; i < parts.size(); ++i) {
      const size_t taken = std::min(left, parts[i].size());
      parts[i] = parts[i].subspan(taken);
      left -= taken;
    }
  }
}

class ServerTransport final : public TVirtualTransport<ServerTransport> {
 public:
  ServerTransport(std::shared_ptr<TSocket> socket, const TransportLimits& limits,
                  MemoryBudget& budget, TransportMeter& meter)
      : TVirtualTransport(std::make_shared<TConfiguration>(limits.message_size_max_bytes,
                                                           limits.message_size_max_bytes)),
        socket_(std::move(socket)),
        is_plain_(std::dynamic_pointer_cast<TSSLSocket>(socket_) == nullptr),
        limits_(limits),
        budget_(budget),
        meter_(meter) {
    socket_->setSendTimeout(Milliseconds(limits_.silence_max));
    socket_->setRecvTimeout(Milliseconds(limits_.idle_max));
  }

  bool isOpen() const override { return socket_->isOpen(); }
  void close() override { socket_->close(); }

  uint32_t read(uint8_t* into, uint32_t size) {
    if (begin_ < end_) {
      const uint32_t count = std::min(size, end_ - begin_);
      std::memcpy(into, in_.data() + begin_, count);
      begin_ += count;
      return Count(count);
    }
    if (size >= kBufferSizeBytes) return Count(Receive(into, size));
    begin_ = 0;
    end_ = Receive(in_.data(), kBufferSizeBytes);
    if (end_ == 0) return 0;
    return read(into, size);
  }

  // A message has been read. (TTransport's, as are the names below.)
  uint32_t readEnd() override {
    resetConsumedMessageSize();
    socket_->setRecvTimeout(Milliseconds(limits_.idle_max));
    is_in_message_ = false;
    return 0;
  }

  void write(const uint8_t* bytes, uint32_t size) {
    const std::span<const uint8_t> piece(bytes, size);
    if (out_.Add(piece)) return;
    Send();
    out_.Add(piece);
  }

  void flush() override {
    Send();
    for_lists_.clear();  // the call is over
  }

  // Before generated code makes room for a list.
  void PayForList(uint64_t size_bytes) {
    try {
      for_lists_.push_back(budget_.Reserve(size_bytes));
    } catch (const base::Error&) {
      throw TTransportException(TTransportException::CORRUPTED_DATA,
                                "a list does not fit the server's memory");
    }
  }

 private:
  // Counts what the message has taken; throws beyond its limit.
  uint32_t Count(uint32_t size) {
    countConsumedMessageBytes(size);
    return size;
  }

  uint32_t Receive(uint8_t* into, uint32_t size) {
    if (is_in_message_ && message_end_.Expired()) {
      throw TTransportException(TTransportException::TIMED_OUT, "a message takes too long");
    }
    const uint32_t count = socket_->read(into, size);
    meter_.bytes_received.fetch_add(count, std::memory_order_relaxed);
    if (!is_in_message_) {
      is_in_message_ = true;
      message_end_ = base::Deadline::After(limits_.message_time_max);
      socket_->setRecvTimeout(Milliseconds(limits_.silence_max));
    }
    return count;
  }

  void Send() {
    if (is_plain_) {
      SendParts(socket_->getSocketFD(), out_.parts());
    } else {
      for (const base::ByteSpan part : out_.parts()) {
        if (part.empty()) continue;
        socket_->write(reinterpret_cast<const uint8_t*>(part.data()),
                       static_cast<uint32_t>(part.size()));
      }
    }
    meter_.bytes_sent.fetch_add(out_.size(), std::memory_order_relaxed);
    out_.Clear();
  }

  const std::shared_ptr<TSocket> socket_;
  const bool is_plain_;
  const TransportLimits limits_;
  MemoryBudget& budget_;
  TransportMeter& meter_;
  std::vector<MemoryBudget::Reservation> for_lists_;
  bool is_in_message_ = false;
  base::Deadline message_end_ = base::Deadline::After(base::Duration::zero());
  std::array<uint8_t, kBufferSizeBytes> in_;
  uint32_t begin_ = 0;  // [begin_, end_) of in_ is received and not read
  uint32_t end_ = 0;
  OutBuffer out_;
};

class ServerProtocol final : public TVirtualProtocol<ServerProtocol, TBinaryProtocol> {
 public:
  explicit ServerProtocol(const std::shared_ptr<ServerTransport>& transport)
      : TVirtualProtocol(transport), transport_(*transport) {
    setStringSizeLimit(kStringSizeMaxBytes);
    setStrict(false, true);  // LambdaML's clients may leave the version out
  }

  // No struct of ps.thrift has maps or sets: generated code only skips them.
  uint32_t readListBegin(TType& type, uint32_t& size) {
    const uint32_t result = TBinaryProtocol::readListBegin(type, size);
    transport_.PayForList(size * kListElementBytes);
    return result;
  }

 private:
  ServerTransport& transport_;
};

}  // namespace

std::shared_ptr<TProtocol> MakeServerProtocol(std::shared_ptr<TSocket> socket,
                                              const TransportLimits& limits, MemoryBudget& budget,
                                              TransportMeter& meter) {
  return std::make_shared<ServerProtocol>(
      std::make_shared<ServerTransport>(std::move(socket), limits, budget, meter));
}

}  // namespace lambdaml::ps
