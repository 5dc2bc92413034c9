// HTTP/1.1 and HTTPS requests over libcurl, many at a time, with connections that stay open.
//
// What an answer means is the caller's business: any status is an answer, redirects are not
// followed, nothing is tried again. A request that got no answer has an Error as its outcome.
// TLS is verified against AWS_CA_BUNDLE, SSL_CERT_FILE or the system's certificates. The proxies of
// the environment are honoured, but never for loopback and link-local addresses.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"

namespace lambdaml::net {

struct HttpHeader {
  std::string name;
  std::string value;

  bool operator==(const HttpHeader&) const = default;
};

// The value of the first header of that name, in any case of letters; nothing if there is none.
std::optional<std::string_view> FindHeader(std::span<const HttpHeader> headers,
                                           std::string_view name);

// What the spans point to must live until the request has been answered.
struct HttpRequest {
  std::string method = "GET";
  std::string url = {};  // http:// or https://, percent-encoded
  std::vector<HttpHeader> headers = {};
  base::ByteSpan body = {};
  // Where the body of a 2xx answer is to be written, in place of a buffer of its own. A longer body
  // is refused; a shorter one is said by the response's body.size().
  std::span<std::byte> destination = {};
  // A longer body is refused before it is read.
  uint64_t response_size_max_bytes = uint64_t{5} << 30;
  // A request on which no byte moves for so long has failed, however far the deadline is: the peer
  // died without a word. Looked at once a second.
  base::Duration silence_max = std::chrono::seconds(10);
  // Set by another thread: nobody waits for the answer any more. Looked at once a second.
  const std::atomic<bool>* cancelled = nullptr;
};

struct HttpResponse {
  int status = 0;
  std::vector<HttpHeader> headers;
  base::Blob body;  // points into the destination if one was given and the status is 2xx

  std::optional<std::string_view> Header(std::string_view name) const {
    return FindHeader(headers, name);
  }
};

// The answer, or why there is none: kUnavailable (not reachable, connection lost, silent, not
// HTTP: worth another attempt), kDeadlineExceeded, kCancelled, kPermissionDenied (the peer's
// certificate is not trusted), kResourceExhausted (an answer above the limit), kInvalidArgument (a
// URL or header that cannot be sent). Messages name host:port and the cause, never the path or a
// header.
using HttpOutcome = std::variant<HttpResponse, base::Error>;

struct HttpClientOptions {
  int connection_count_max = 32;  // of one SendAll
  base::Duration connect_time_max = std::chrono::seconds(5);
};

// Threads: any, at once. Each call is driven by the thread that makes it; connections are kept for
// the calls to come. A client belongs to the process that made it: not to be used after fork(2) in
// the child, which makes its own.
class HttpClient {
 public:
  explicit HttpClient(const HttpClientOptions& options = {});
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  HttpOutcome Send(const HttpRequest& request, const base::Deadline& deadline);

  // Sends all, up to connection_count_max of them at once. Outcome i belongs to requests[i].
  std::vector<HttpOutcome> SendAll(std::span<const HttpRequest> requests,
                                   const base::Deadline& deadline);

 private:
  class Lane;  // a set of connections, used by one call at a time

  std::unique_ptr<Lane> TakeLane();
  void ReturnLane(std::unique_ptr<Lane> lane);

  const HttpClientOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_lanes_;  // guarded by mutex_; the last is the warmest
};

}  // namespace lambdaml::net
