// A stream of bytes over TCP, or over TLS, in which nothing waits beyond its deadline.
//
// For services that speak a protocol of their own (Redis, Memcached, a parameter server); HTTP has
// http_client.h. The costs are those of the socket calls: what is read is copied once, from the
// kernel to where it is wanted, except for what ReadLine brought along; what is written is not
// copied at all (TLS copies, as it must).
//
// Errors of all calls, naming "host:port": kUnavailable for a connection that cannot be made,
// breaks or is silent for too long; kDeadlineExceeded. After an error the stream is of no use: how
// much of a message has gone out or come in is not known. Threads: one at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"

namespace lambdaml::net {

class TlsSession;
struct IoResult;

struct StreamOptions {
  // TLS 1.2 or later, with the server's certificate and its name, or address, verified.
  bool use_tls = false;
  // PEM file of the authorities to trust; "": that of SSL_CERT_FILE, or the system's.
  std::string ca_file = {};
  // PEM files of the certificate with which to answer a server that asks for one, and of its key;
  // "": none.
  std::string cert_file = {};
  std::string key_file = {};
  // How long the peer may move no byte while bytes are expected from it, or by it: a server that
  // has stopped is noticed long before a far deadline.
  base::Duration silence_max = std::chrono::seconds(10);
};

class Stream {
 public:
  // Connects; tries all addresses of the host.
  // Errors: also kNotFound if there is no such host; kPermissionDenied if the server's certificate
  // is refused; kInvalidArgument if one of the options' files cannot be read.
  static Stream Connect(const std::string& host, int port, const StreamOptions& options,
                        const base::Deadline& deadline);
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  // "host:port", for messages.
  const std::string& place() const { return place_; }

  // Reads at least one byte, as many as there are, at most into.size(), which must not be 0. 0
  // means that the peer has closed the connection.
  size_t ReadSome(std::span<std::byte> into, const base::Deadline& deadline);

  // Fills `into`. Errors: also kUnavailable if the connection ends before.
  void ReadExactly(std::span<std::byte> into, const base::Deadline& deadline);

  // The bytes up to the next "\n", without it and without a "\r" before it. They stay valid until
  // the next call.
  // Errors: also kUnavailable if the line is longer than size_max_bytes or the connection ends
  // before.
  std::string_view ReadLine(size_t size_max_bytes, const base::Deadline& deadline);

  // Writes the parts one after the other, in as few segments as can be.
  void WriteAll(std::span<const base::ByteSpan> parts, const base::Deadline& deadline);

  // Waits until a read would find something (bytes, the end, an error); false if the deadline
  // passes first. Not bound by silence_max.
  bool WaitReadable(const base::Deadline& deadline);

  void Close();

 private:
  Stream(std::string place, base::FileDescriptor socket, base::Duration silence_max);

  void StartTls(const std::string& host, const StreamOptions& options,
                const base::Deadline& deadline);
  // Reads past the buffer: what there is now, or at least one byte.
  IoResult TryReceive(std::span<std::byte> into);
  size_t Receive(std::span<std::byte> into, const base::Deadline& deadline);
  // Free space behind end_.
  std::span<std::byte> BufferSpace();
  void WriteTls(base::ByteSpan bytes, const base::Deadline& deadline);
  void Await(short events, const base::Deadline& deadline);
  [[noreturn]] void Fail(std::string_view what) const;

  std::string place_;
  base::FileDescriptor socket_;
  base::Duration silence_max_;
  std::unique_ptr<TlsSession> tls_;  // nothing without TLS; uses socket_
  std::vector<std::byte> buffer_;    // [begin_, end_) is read and not yet asked for
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace lambdaml::net
