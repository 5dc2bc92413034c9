// The server's end of a connection, as Thrift's generated code sees it: an unframed transport, as
// LambdaML's clients use, that holds against garbage and slow peers.
//
//  - Small reads and writes are gathered; large ones go straight between the socket and memory.
//  - Between messages a peer may be silent for `idle_max`, within one only for `silence_max`, and a
//    whole message takes `message_time_max` at most: slow senders and vanished ones are dropped.
//  - A message has at most `message_size_max_bytes`; no list or string may announce more. What the
//    generated code will allocate for lists is taken from the memory budget first.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "lambdaml/base/clock.h"
#include "lambdaml/ps/memory_budget.h"

namespace apache::thrift::protocol {
class TProtocol;
}  // namespace apache::thrift::protocol
namespace apache::thrift::transport {
class TSocket;
}  // namespace apache::thrift::transport

namespace lambdaml::ps {

struct TransportLimits {
  base::Duration idle_max = std::chrono::minutes(30);
  base::Duration silence_max = std::chrono::seconds(20);
  base::Duration message_time_max = std::chrono::minutes(5);
  int32_t message_size_max_bytes = 256 << 20;
};

struct TransportMeter {
  std::atomic<uint64_t> bytes_received{0};
  std::atomic<uint64_t> bytes_sent{0};
};

// A binary protocol over such a transport over `socket`. Budget and meter must outlive it.
// Threads: one.
std::shared_ptr<apache::thrift::protocol::TProtocol> MakeServerProtocol(
    std::shared_ptr<apache::thrift::transport::TSocket> socket, const TransportLimits& limits,
    MemoryBudget& budget, TransportMeter& meter);

}  // namespace lambdaml::ps
