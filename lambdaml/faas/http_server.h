// An HTTP/1.1 server, by default on a free port of 127.0.0.1, driven by an EventLoop. Malformed
// requests are answered with 400, over-long ones with 413 (header 431), and neither reaches the
// handler.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/http_message.h"

namespace lambdaml::faas {

struct ListenAddress {
  std::string ip = "127.0.0.1";
  int port = 0;  // 0: a free one
};

// Threads: the loop's.
class HttpServer {
 public:
  // Answers the request, at once or later; the first call counts. It does nothing when the client
  // or the server has gone. If every copy is dropped unused, the connection is closed.
  using Respond = std::function<void(HttpResponse)>;
  using Handler = std::function<void(HttpRequest, Respond)>;

  // Listens from now on. Errors: kResourceExhausted (descriptors, ports), kUnavailable (the port is
  // taken), kInvalidArgument (no such address).
  HttpServer(EventLoop& loop, Handler handler, const ListenAddress& address = {});
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Closes the port and all connections; answers already given are still sent. The handler is not
  // called any more.
  ~HttpServer();

  // "ip:port"
  const std::string& endpoint() const { return endpoint_; }

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::string endpoint_;
};

}  // namespace lambdaml::faas
