// A blocking HTTP/1.1 client over one plain TCP connection that is kept alive between exchanges.
// Small enough for a worker's cold start: no thread, no event loop, nothing allocated before use.
#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/http_message.h"

namespace lambdaml::faas {

// Threads: one at a time.
class HttpConnection {
 public:
  // address: "host:port" or "[ipv6]:port". Connects at the first exchange.
  // Errors: kInvalidArgument (no such form).
  explicit HttpConnection(std::string address);

  // Sends the request and returns the answer, whatever its status. A connection that died while
  // idle is replaced before use. If it dies later but before the answer begins, the request is
  // sent once more on a new connection only when `repeatable`, because the server may have acted.
  // Without a deadline it waits for ever (the Runtime API's /next).
  // Errors: kUnavailable (refused, reset, malformed answer), kDeadlineExceeded; the connection is
  // closed then, and the next exchange opens another.
  HttpResponse Exchange(const HttpRequest& request, const std::optional<base::Deadline>& deadline,
                        bool repeatable);

 private:
  void Connect(const std::optional<base::Deadline>& deadline);
  bool IdleConnectionIsAlive() const;
  void Send(const HttpRequest& request, const std::optional<base::Deadline>& deadline);
  HttpResponse Receive(const std::optional<base::Deadline>& deadline, bool* answer_began);

  std::string address_;
  std::string host_;
  std::string port_;
  base::FileDescriptor socket_;
};

}  // namespace lambdaml::faas
