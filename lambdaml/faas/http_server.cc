#include "lambdaml/faas/http_server.h"

#include <fmt/format.h>
#include <optional>
#include <set>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "lambdaml/base/error.h"

namespace lambdaml::faas {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using beast::error_code;

constexpr uint32_t kHeaderSizeMaxBytes = 16 * 1024;
constexpr size_t kDiscardSizeBytes = 64 * 1024;
// A client on the same machine that takes nothing for so long has hung.
constexpr std::chrono::seconds kWriteTimeout{10};
// How long a refused client may go on sending before the connection is reset.
constexpr std::chrono::seconds kDiscardTimeout{2};
// Pause after accept(2) failed for want of descriptors.
constexpr std::chrono::milliseconds kAcceptPause{50};

class Session;

}  // namespace

struct HttpServer::State {
  State(EventLoop& loop, Handler handler_in)
      : handler(std::move(handler_in)), acceptor(loop.context()), accept_timer(loop.context()) {}

  static void Accept(const std::shared_ptr<State>& state);

  Handler handler;  // empty once the server is closed
  tcp::acceptor acceptor;
  asio::steady_timer accept_timer;
  std::set<Session*> sessions;
};

namespace {

// One connection. Pending operations and the Respond of a request under way keep it alive.
class Session : public std::enable_shared_from_this<Session> {
 public:
  using ServerState = std::shared_ptr<std::set<Session*>>;

  Session(tcp::socket socket, std::function<void(HttpRequest, HttpServer::Respond)>* handler,
          std::shared_ptr<void> state, std::set<Session*>* sessions)
      : stream_(std::move(socket)),
        handler_(handler),
        state_(std::move(state)),
        sessions_(sessions) {
    sessions_->insert(this);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { sessions_->erase(this); }

  void Start() { ReadHeader(); }

  // The server closes: an answer being written is the last, anything else ends here.
  void Close() {
    if (!writing_) stream_.close();
  }

 private:
  bool server_closed() const { return !*handler_; }

  void ReadHeader() {
    request_.emplace();
    request_->header_limit(kHeaderSizeMaxBytes);
    request_->body_limit(kHttpBodySizeMaxBytes);
    stream_.expires_never();
    http::async_read_header(stream_, buffer_, *request_,
                            [self = shared_from_this()](error_code error, size_t) {
                              if (error) return self->OnReadError(error);
                              self->OnHeader();
                            });
  }

  void OnHeader() {
    const auto length = request_->content_length();
    if (length && *length > kHttpBodySizeMaxBytes) return OnReadError(http::error::body_limit);
    if (beast::iequals(request_->get()[http::field::expect], "100-continue")) {
      continue_.emplace(http::status::continue_, 11);
      http::async_write(stream_, *continue_, [self = shared_from_this()](error_code error, size_t) {
        if (!error) self->ReadBody();
      });
      return;
    }
    ReadBody();
  }

  void ReadBody() {
    http::async_read(stream_, buffer_, *request_,
                     [self = shared_from_this()](error_code error, size_t) {
                       if (error) return self->OnReadError(error);
                       self->OnRequest();
                     });
  }

  void OnRequest() {
    if (server_closed()) return stream_.close();
    auto& message = request_->get();
    HttpRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    for (const auto& field : message) {
      request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    }
    request.body = std::move(message.body());
    keep_alive_ = message.keep_alive();
    awaiting_answer_ = true;
    (*handler_)(std::move(request), [self = shared_from_this()](HttpResponse response) {
      if (!std::exchange(self->awaiting_answer_, false)) return;
      self->Write(std::move(response));
    });
  }

  // Answers what cannot be read as a request, then ends the connection.
  void OnReadError(error_code error) {
    if (error.category() != make_error_code(http::error::bad_method).category() ||
        error == http::error::end_of_stream || error == http::error::partial_message) {
      return stream_.close();  // the client has gone, or the server
    }
    HttpResponse response;
    response.status = error == http::error::body_limit     ? 413
                      : error == http::error::header_limit ? 431
                                                           : 400;
    response.headers.push_back({"Content-Type", "application/json"});
    response.body = fmt::format(R"({{"Type":"User","message":"{}"}})", error.message());
    keep_alive_ = false;
    discard_rest_ = true;
    Write(std::move(response));
  }

  void Write(HttpResponse response) {
    if (!stream_.socket().is_open()) return;
    response_.emplace();
    response_->version(11);
    response_->result(static_cast<unsigned>(response.status));
    for (const HttpHeader& header : response.headers) response_->insert(header.name, header.value);
    response_->keep_alive(keep_alive_);
    response_->body() = std::move(response.body);
    response_->prepare_payload();
    writing_ = true;
    stream_.expires_after(kWriteTimeout);
    http::async_write(stream_, *response_, [self = shared_from_this()](error_code error, size_t) {
      self->writing_ = false;
      self->OnWritten(error);
    });
  }

  void OnWritten(error_code error) {
    response_.reset();
    if (error || server_closed()) return stream_.close();
    if (keep_alive_) return ReadHeader();
    if (!discard_rest_) return stream_.close();
    // Closing with unread bytes would reset the connection and could destroy the answer.
    stream_.socket().shutdown(tcp::socket::shutdown_send, error);
    stream_.expires_after(kDiscardTimeout);
    Discard();
  }

  void Discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(kDiscardSizeBytes),
                            [self = shared_from_this()](error_code error, size_t) {
                              if (error || self->server_closed()) return self->stream_.close();
                              self->stream_.expires_after(kDiscardTimeout);
                              self->Discard();
                            });
  }

  beast::tcp_stream stream_;
  std::function<void(HttpRequest, HttpServer::Respond)>* handler_;  // the server's
  std::shared_ptr<void> state_;                                     // keeps the server's state
  std::set<Session*>* sessions_;                                    // the server's

  beast::flat_buffer buffer_;
  std::optional<http::request_parser<http::string_body>> request_;
  std::optional<http::response<http::empty_body>> continue_;
  std::optional<http::response<http::string_body>> response_;
  bool keep_alive_ = false;
  bool awaiting_answer_ = false;
  bool writing_ = false;
  bool discard_rest_ = false;
};

}  // namespace

void HttpServer::State::Accept(const std::shared_ptr<State>& state) {
  state->acceptor.async_accept([state](error_code error, tcp::socket socket) {
    if (!state->handler) return;
    if (error) {
      state->accept_timer.expires_after(kAcceptPause);
      state->accept_timer.async_wait([state](error_code cancelled) {
        if (!cancelled && state->handler) Accept(state);
      });
      return;
    }
    error_code ignored;  // without it answers are late, not wrong
    socket.set_option(tcp::no_delay(true), ignored);
    std::make_shared<Session>(std::move(socket), &state->handler, state, &state->sessions)->Start();
    Accept(state);
  });
}

HttpServer::HttpServer(EventLoop& loop, Handler handler, const ListenAddress& address)
    : state_(std::make_shared<State>(loop, std::move(handler))) {
  try {
    const tcp::endpoint endpoint(asio::ip::make_address(address.ip),
                                 static_cast<unsigned short>(address.port));
    state_->acceptor.open(endpoint.protocol());
    // Only where the port is given: a server that starts again must not wait for old connections.
    if (address.port != 0) state_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    state_->acceptor.bind(endpoint);
    state_->acceptor.listen();
    endpoint_ = fmt::format("{}:{}", address.ip, state_->acceptor.local_endpoint().port());
  } catch (const boost::system::system_error& error) {
    base::ThrowErrno("listen on", fmt::format("{}:{}", address.ip, address.port),
                     error.code().value());
  }
  State::Accept(state_);
}

HttpServer::~HttpServer() {
  state_->handler = nullptr;
  error_code ignored;  // closing what is being torn down
  state_->acceptor.close(ignored);
  state_->accept_timer.cancel();
  const std::set<Session*> sessions = state_->sessions;
  for (Session* session : sessions) session->Close();
}

}  // namespace lambdaml::faas
