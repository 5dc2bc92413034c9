#include "lambdaml/ps/server_transport.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TSocket.h>
#include <thrift/transport/TVirtualTransport.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::TConfiguration;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::protocol::TProtocol;
using apache::thrift::protocol::TType;
using apache::thrift::protocol::TVirtualProtocol;
using apache::thrift::transport::TSocket;
using apache::thrift::transport::TTransportException;
using apache::thrift::transport::TVirtualTransport;

constexpr uint32_t kBufferSizeBytes = 16 * 1024;
constexpr int32_t kStringSizeMaxBytes = 64 * 1024;  // names, tokens; messages are read otherwise
constexpr uint64_t kListElementBytes = 16;          // of what generated code makes of a list

int Milliseconds(base::Duration duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(duration).count());
}

class ServerTransport final : public TVirtualTransport<ServerTransport> {
 public:
  ServerTransport(std::shared_ptr<TSocket> socket, const TransportLimits& limits,
                  MemoryBudget& budget, TransportMeter& meter)
      : TVirtualTransport(std::make_shared<TConfiguration>(limits.message_size_max_bytes,
                                                           limits.message_size_max_bytes)),
        socket_(std::move(socket)),
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
    if (out_size_ + size > kBufferSizeBytes) FlushBuffer();
    if (size >= kBufferSizeBytes) return Send(bytes, size);
    std::memcpy(out_.data() + out_size_, bytes, size);
    out_size_ += size;
  }

  void flush() override {
    FlushBuffer();
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

  void Send(const uint8_t* bytes, uint32_t size) {
    socket_->write(bytes, size);
    meter_.bytes_sent.fetch_add(size, std::memory_order_relaxed);
  }

  void FlushBuffer() {
    if (out_size_ > 0) Send(out_.data(), std::exchange(out_size_, 0));
  }

  const std::shared_ptr<TSocket> socket_;
  const TransportLimits limits_;
  MemoryBudget& budget_;
  TransportMeter& meter_;
  std::vector<MemoryBudget::Reservation> for_lists_;
  bool is_in_message_ = false;
  base::Deadline message_end_ = base::Deadline::After(base::Duration::zero());
  std::array<uint8_t, kBufferSizeBytes> in_;
  uint32_t begin_ = 0;  // [begin_, end_) of in_ is received and not read
  uint32_t end_ = 0;
  std::array<uint8_t, kBufferSizeBytes> out_;
  uint32_t out_size_ = 0;
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
