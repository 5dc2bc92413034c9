// The least a program must do to put and get bytes at a service: requests made beforehand, written
// to blocking sockets and read back, nothing looked at. What a round is measured against.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::bench {

// Values are cut into segments as collectives cut them. Threads: one.
class RawClient {
 public:
  virtual ~RawClient() = default;

  // Makes the requests that put the value, and those that get it back.
  virtual void Prepare(const std::string& name, base::ByteSpan value) = 0;

  // Sends the prepared requests of all names at once, over as many connections as that takes where
  // a connection carries one request at a time, and takes all answers.
  virtual void Put(std::span<const std::string> names) = 0;
  virtual void Get(std::span<const std::string> names) = 0;
};

// `service`: S3, Memcached, Redis or DynamoDb; `place`: as Service::MakePlace gives it.
std::unique_ptr<RawClient> MakeRawClient(const std::string& service, const std::string& place,
                                         int port, uint64_t segment_size_bytes);

}  // namespace lambdaml::bench
