#include "lambdaml/ps/connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fmt/format.h>
#include <span>
#include <thrift/TApplicationException.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TVirtualTransport.h>
#include <utility>

#include "lambdaml/base/buffer.h"
#include "lambdaml/base/error.h"
#include "lambdaml/net/stream.h"
#include "lambdaml/net/tcp.h"
#include "lambdaml/ps/out_buffer.h"
#include "lambdaml/ps/rpc/VectorServer.h"
#include "lambdaml/ps/slice_rpc.h"

namespace lambdaml::ps {
namespace {

using apache::thrift::TApplicationException;
using apache::thrift::TConfiguration;
using apache::thrift::TException;
using apache::thrift::protocol::TBinaryProtocol;
using apache::thrift::protocol::TMessageType;
using apache::thrift::transport::TVirtualTransport;
using base::Error;
using base::ErrorCode;

constexpr uint32_t kBufferSizeBytes = 16 * 1024;
constexpr int kAnswerSizeMaxBytes = 1 << 30;

// net::Stream as a transport of Thrift's. Its failures are base::Errors already, and go through
// Thrift's code as they are.
class StreamTransport final : public TVirtualTransport<StreamTransport> {
 public:
  StreamTransport(net::Stream stream, ClientMeter& meter)
      : TVirtualTransport(
            std::make_shared<TConfiguration>(kAnswerSizeMaxBytes, kAnswerSizeMaxBytes)),
        stream_(std::move(stream)),
        meter_(meter) {}

  void SetDeadline(const base::Deadline& deadline) { deadline_ = deadline; }

  bool isOpen() const override { return true; }
  void close() override { stream_.Close(); }

  uint32_t read(uint8_t* into, uint32_t size) {
    if (begin_ < end_) {
      const uint32_t count = std::min(size, end_ - begin_);
      std::memcpy(into, in_.data() + begin_, count);
      begin_ += count;
      return count;
    }
    if (size >= kBufferSizeBytes) return Receive({into, size});
    begin_ = 0;
    end_ = Receive(in_);
    return read(into, size);
  }

  void write(const uint8_t* bytes, uint32_t size) {
    const std::span<const uint8_t> piece(bytes, size);
    if (out_.Add(piece)) return;
    flush();
    out_.Add(piece);
  }

  void flush() override {
    stream_.WriteAll(out_.parts(), deadline_);
    meter_.bytes_sent.fetch_add(out_.size(), std::memory_order_relaxed);
    out_.Clear();
  }

 private:
  uint32_t Receive(std::span<uint8_t> into) {
    const size_t count = stream_.ReadSome(std::as_writable_bytes(into), deadline_);
    if (count == 0) {
      throw Error(
          ErrorCode::kUnavailable,
          fmt::format("{}: the parameter server has closed the connection", stream_.place()));
    }
    meter_.bytes_received.fetch_add(count, std::memory_order_relaxed);
    return static_cast<uint32_t>(count);
  }

  net::Stream stream_;
  ClientMeter& meter_;
  base::Deadline deadline_ = base::Deadline::After(base::Duration::zero());
  std::array<uint8_t, kBufferSizeBytes> in_;
  uint32_t begin_ = 0;  // [begin_, end_) of in_ is received and not read
  uint32_t end_ = 0;
  OutBuffer out_;
};

net::StreamOptions StreamOptionsOf(const ServerAddress& address) {
  return {.use_tls = address.use_tls,
          .ca_file = address.ca_file,
          .cert_file = address.cert_file,
          .key_file = address.key_file};
}

}  // namespace

struct Connection::State {
  State(const ServerAddress& address, ClientMeter& given_meter, const base::Deadline& deadline)
      : place(net::PlaceName(address.host, address.port)),
        meter(given_meter),
        transport(std::make_shared<StreamTransport>(
            net::Stream::Connect(address.host, address.port, StreamOptionsOf(address), deadline),
            given_meter)),
        protocol(std::make_shared<TBinaryProtocol>(transport)),
        client(protocol) {}

  // Runs a call; translates what the server refuses and what breaks.
  template <typename Work>
  auto Run(const base::Deadline& deadline, const Work& work) {
    meter.requests.fetch_add(1, std::memory_order_relaxed);
    transport->SetDeadline(deadline);
    is_usable = false;
    try {
      if constexpr (std::is_void_v<decltype(work())>) {
        work();
        is_usable = true;
      } else {
        auto result = work();
        is_usable = true;
        return result;
      }
    } catch (const rpc::Refusal& refusal) {
      is_usable = true;
      throw Error(base::ErrorCodeFromName(refusal.code), Describe(refusal.why));
    } catch (const TApplicationException& error) {
      throw Error(ErrorCode::kCorrupt, Describe(error.what()));
    } catch (const TException& error) {
      throw Error(ErrorCode::kCorrupt,
                  fmt::format("{}: what listens there does not answer as a parameter server: {}",
                              place, error.what()));
    }
  }

  std::string Describe(std::string_view why) const {
    return fmt::format("parameter server {}: {}", place, why);
  }

  SliceAnswer CallSlice(SliceMethod method, const SliceCall& call, AnswerPlace* answer_place);

  const std::string place;
  ClientMeter& meter;
  std::shared_ptr<StreamTransport> transport;
  std::shared_ptr<TBinaryProtocol> protocol;
  rpc::VectorServerClient client;
  int32_t sequence = 0;
  bool is_usable = true;
};

SliceAnswer Connection::State::CallSlice(SliceMethod method, const SliceCall& call,
                                         AnswerPlace* answer_place) {
  const char* const name = method == SliceMethod::kExchange ? "exchange" : "merge";
  ++sequence;
  protocol->writeMessageBegin(name, apache::thrift::protocol::T_CALL, sequence);
  WriteSliceArguments(*protocol, call);
  protocol->writeMessageEnd();
  transport->flush();

  std::string answered;
  TMessageType type = apache::thrift::protocol::T_REPLY;
  int32_t answered_sequence = 0;
  protocol->readMessageBegin(answered, type, answered_sequence);
  if (type == apache::thrift::protocol::T_EXCEPTION) {
    TApplicationException error;
    error.read(protocol.get());
    throw error;
  }
  if (type != apache::thrift::protocol::T_REPLY || answered != name ||
      answered_sequence != sequence) {
    throw TApplicationException(TApplicationException::BAD_SEQUENCE_ID, "it answers another call");
  }
  SliceAnswer answer = ReadSliceAnswer(*protocol, base::NewBuffer, answer_place);
  protocol->readMessageEnd();
  return answer;
}

Connection::Connection(const ServerAddress& address, ClientMeter& meter,
                       const base::Deadline& deadline)
    : state_(std::make_unique<State>(address, meter, deadline)) {
  state_->Run(deadline, [&] {
    rpc::Hello hello;
    hello.token = address.token;
    rpc::Welcome welcome;
    state_->client.hello(welcome, hello);
  });
}

Connection::~Connection() = default;

bool Connection::is_usable() const { return state_->is_usable; }

JobState Connection::OpenJob(const JobSpec& spec, const base::Deadline& deadline) {
  return state_->Run(deadline, [&] {
    rpc::JobSpec request;
    request.job = spec.job;
    request.worker_count = spec.worker_count;
    request.keeps_rounds = spec.keeps_rounds;
    request.must_be_new = spec.must_be_new;
    rpc::JobState state;
    state_->client.open_job(state, request);
    return JobState{.incarnation = static_cast<uint64_t>(state.incarnation),
                    .is_new = state.is_new};
  });
}

SliceAnswer Connection::Call(SliceMethod method, const SliceCall& call,
                             const base::Deadline& deadline, AnswerPlace* place) {
  if (call.message) state_->meter.contributions.fetch_add(1, std::memory_order_relaxed);
  return state_->Run(deadline, [&] { return state_->CallSlice(method, call, place); });
}

void Connection::Release(const std::string& job, const RoundId& before,
                         const base::Deadline& deadline) {
  state_->Run(deadline, [&] {
    state_->client.release(job, static_cast<int64_t>(before.generation),
                           static_cast<int64_t>(before.round));
  });
}

void Connection::CloseJob(const std::string& job, const base::Deadline& deadline) {
  state_->Run(deadline, [&] { state_->client.close_job(job); });
}

std::string Connection::Status(const base::Deadline& deadline) {
  return state_->Run(deadline, [&] {
    std::string json;
    state_->client.status(json);
    return json;
  });
}

}  // namespace lambdaml::ps
