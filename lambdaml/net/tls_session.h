// TLS over a connected, non-blocking socket: OpenSSL, with the server's certificate and name
// verified.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/base/bytes.h"

namespace lambdaml::net {

// What a non-blocking call achieved.
struct IoResult {
  enum class Need { kNothing, kReadable, kWritable };

  size_t byte_count = 0;
  Need need = Need::kNothing;  // otherwise: call again once the socket is ready for it
  bool is_end = false;         // the peer has closed
  std::string failure;         // not empty: the connection is of no use any more
};

// PEM files.
struct TlsFiles {
  std::string ca;    // the authorities to trust; "": those of SSL_CERT_FILE, or the system's
  std::string cert;  // with which this client answers a server that asks; "": with none
  std::string key;   // of that certificate; "": in the same file
};

// Threads: one at a time.
class TlsSession {
 public:
  // `host`: the name, or address, that the server's certificate must be for. The socket stays the
  // caller's, and must live as long.
  // Errors: kInvalidArgument if a file cannot be read.
  TlsSession(int socket, const std::string& host, const TlsFiles& files);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  // To be called until it needs nothing; then Read and Write may be. is_refused says that a failure
  // is the certificate's and will not pass.
  IoResult Handshake(bool* is_refused);
  IoResult Read(std::byte* into, size_t size);
  IoResult Write(base::ByteSpan bytes);

 private:
  struct State;
  IoResult Outcome(int result, size_t byte_count) const;

  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::net
