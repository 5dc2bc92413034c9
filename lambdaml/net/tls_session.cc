#include "lambdaml/net/tls_session.h"

#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <system_error>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/net/ca_bundle.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

constexpr size_t kReadAheadBytes = 128 * 1024;

// OpenSSL's own socket BIO writes with write(2), which kills a program that does not ignore
// SIGPIPE.
int Socket(BIO* bio) { return *static_cast<const int*>(BIO_get_data(bio)); }

int BioWrite(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = ::send(Socket(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int BioRead(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t received = ::recv(Socket(bio), data, static_cast<size_t>(size), 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  if (received == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  return static_cast<int>(received);
}

long BioControl(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const method_of_sockets = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
    LAMBDAML_CHECK(method != nullptr);
    BIO_meth_set_write(method, BioWrite);
    BIO_meth_set_read(method, BioRead);
    BIO_meth_set_ctrl(method, BioControl);
    return method;
  }();
  return method_of_sockets;
}

// AWS_CA_BUNDLE, which CaBundle() prefers, is for the endpoints of AWS's own services.
std::string SystemAuthorities() {
  return CaBundle([](const std::string& name) {
    return name == "SSL_CERT_FILE" ? ProcessEnvironment()(name) : std::nullopt;
  });
}

std::string ErrorText(unsigned long error) {
  std::array<char, 256> text{};
  if (const char* reason = ERR_reason_error_string(error)) return reason;
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

void UseCertificate(SSL_CTX* context, const TlsFiles& files) {
  const std::string& key = files.key.empty() ? files.cert : files.key;
  if (SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) == 1 &&
      SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1 &&
      SSL_CTX_check_private_key(context) == 1) {
    return;
  }
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("{}, {}: cannot use them as certificate and key (PEM): {}", files.cert,
                          key, ErrorText(ERR_get_error())));
}

bool IsAddress(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

}  // namespace

struct TlsSession::State {
  int socket;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context{nullptr, SSL_CTX_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, SSL_free};
};

TlsSession::TlsSession(int socket, const std::string& host, const TlsFiles& files)
    : state_(std::make_unique<State>(State{.socket = socket})) {
  ERR_clear_error();
  state_->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = state_->context.get();
  LAMBDAML_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_read_ahead(context, 1);  // else each record costs two calls of recv
  SSL_CTX_set_default_read_buffer_len(context, kReadAheadBytes);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const std::string authorities = files.ca.empty() ? SystemAuthorities() : files.ca;
  const bool has_authorities = authorities.empty()
                                   ? SSL_CTX_set_default_verify_paths(context) == 1
                                   : SSL_CTX_load_verify_file(context, authorities.c_str()) == 1;
  if (!has_authorities) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: cannot read certificates of authorities (PEM) from it: {}",
                            authorities, ErrorText(ERR_get_error())));
  }
  if (!files.cert.empty()) UseCertificate(context, files);
  state_->ssl.reset(SSL_new(context));
  SSL* ssl = state_->ssl.get();
  LAMBDAML_CHECK(ssl != nullptr);
  if (IsAddress(host)) {
    LAMBDAML_CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1);
  } else if (SSL_set1_host(ssl, host.c_str()) != 1 ||
             SSL_set_tlsext_host_name(ssl, host.c_str()) != 1) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{}: not a host name", host));
  }
  BIO* bio = BIO_new(SocketMethod());
  LAMBDAML_CHECK(bio != nullptr);
  BIO_set_data(bio, &state_->socket);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl, bio, bio);
}

// Without close-notify: the socket is closed at once, and our protocols know where they end.
TlsSession::~TlsSession() = default;

IoResult TlsSession::Outcome(int result, size_t byte_count) const {
  if (result > 0) return {.byte_count = byte_count, .failure = {}};
  const int errno_value = errno;
  switch (SSL_get_error(state_->ssl.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {.need = IoResult::Need::kReadable, .failure = {}};
    case SSL_ERROR_WANT_WRITE:
      return {.need = IoResult::Need::kWritable, .failure = {}};
    case SSL_ERROR_ZERO_RETURN:
      return {.is_end = true, .failure = {}};
    case SSL_ERROR_SYSCALL:
      return {.failure = std::generic_category().message(errno_value)};
    default: {
      const unsigned long error = ERR_get_error();
      // A server that is killed closes without close-notify: an end like any other.
      if (ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        return {.is_end = true, .failure = {}};
      }
      return {.failure = "TLS: " + ErrorText(error)};
    }
  }
}

IoResult TlsSession::Handshake(bool* is_refused) {
  ERR_clear_error();
  SSL* ssl = state_->ssl.get();
  IoResult outcome = Outcome(SSL_connect(ssl), 0);
  const long verdict = SSL_get_verify_result(ssl);
  *is_refused = !outcome.failure.empty() && verdict != X509_V_OK;
  if (*is_refused) {
    outcome.failure = fmt::format("the server's certificate is refused: {}",
                                  X509_verify_cert_error_string(verdict));
  }
  return outcome;
}

IoResult TlsSession::Read(std::byte* into, size_t size) {
  ERR_clear_error();
  size_t count = 0;
  const int result = SSL_read_ex(state_->ssl.get(), into, size, &count);
  return Outcome(result, count);
}

IoResult TlsSession::Write(base::ByteSpan bytes) {
  ERR_clear_error();
  size_t count = 0;
  const int result = SSL_write_ex(state_->ssl.get(), bytes.data(), bytes.size(), &count);
  return Outcome(result, count);
}

}  // namespace lambdaml::net
