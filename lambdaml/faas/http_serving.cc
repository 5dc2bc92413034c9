#include "lambdaml/faas/http_serving.h"

#include <charconv>
#include <condition_variable>
#include <csignal>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <thread>
#include <unistd.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/base/log.h"
#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

using base::Error;
using base::ErrorCode;

HttpResponse JsonResponse(int status, std::string body) {
  return {
      .status = status, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

HttpResponse Failure(int status, ErrorCode code, std::string_view message) {
  return JsonResponse(status, FunctionErrorBody(base::ErrorCodeName(code), message));
}

base::Deadline DeadlineOf(std::string_view epoch_ms, base::Duration time_limit) {
  if (epoch_ms.empty()) return base::Deadline::After(time_limit);
  long long value = 0;
  const auto [end, error] =
      std::from_chars(epoch_ms.data(), epoch_ms.data() + epoch_ms.size(), value);
  if (error != std::errc() || end != epoch_ms.data() + epoch_ms.size() || value < 0) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the deadline \"{}\" is not a number of milliseconds", epoch_ms));
  }
  return base::Deadline::AtEpochMs(value);
}

Invocation InvocationOf(HttpRequest request, base::Duration time_limit) {
  const bool is_openwhisk = request.target == "/run";
  std::string deadline_ms(FindHeader(request.headers, kDeadlineHeader));
  std::string payload = std::move(request.body);
  if (is_openwhisk) {
    const base::Json body = base::Json::Parse(payload, "request");
    if (const base::Json* deadline = body.Find("deadline")) deadline_ms = deadline->AsString();
    payload = body.At("value").Dump();
  }
  return {.request_id = NewRequestId(),
          .payload = std::move(payload),
          .deadline = DeadlineOf(deadline_ms, time_limit),
          .function_arn = {},
          .trace_id = {}};
}

// Runs invocations one after the other on a thread of its own.
class HandlerThread {
 public:
  HandlerThread(EventLoop& loop, const Handler& handler, base::Duration time_limit)
      : loop_(loop), handler_(handler), time_limit_(time_limit), thread_([this] { Run(); }) {
    thread_.detach();  // it ends with the process, as ServeHttp does
  }

  // Takes the request if nothing runs. On the loop's thread.
  void Offer(HttpRequest request, const HttpServer::Respond& respond) {
    {
      const std::lock_guard lock(mutex_);
      if (!is_busy_) {
        is_busy_ = true;
        request_ = std::move(request);
        respond_ = respond;
        offered_.notify_one();
        return;
      }
    }
    respond(Failure(429, ErrorCode::kResourceExhausted, "this worker runs another invocation"));
  }

 private:
  [[noreturn]] void Run() {
    for (;;) {
      std::unique_lock lock(mutex_);
      offered_.wait(lock, [this] { return request_.has_value(); });
      HttpRequest request = *std::move(request_);
      request_.reset();
      lock.unlock();
      HttpResponse response = Answer(std::move(request));
      loop_.Post([this, answer = std::move(response)]() mutable {
        // Free before the answer goes out: who has it may send the next invocation at once.
        HttpServer::Respond respond;
        {
          const std::lock_guard guard(mutex_);
          is_busy_ = false;
          respond = std::move(respond_);
        }
        respond(std::move(answer));
      });
    }
  }

  // The handler's boundary: whatever it throws becomes an answer.
  HttpResponse Answer(HttpRequest request) const {
    try {
      return JsonResponse(200, handler_(InvocationOf(std::move(request), time_limit_)));
    } catch (const Error& error) {
      return Failure(500, error.code(), error.message());
    } catch (const std::bad_alloc&) {
      return Failure(500, ErrorCode::kResourceExhausted, "the function's memory is exhausted");
    } catch (const std::exception& error) {
      return Failure(500, ErrorCode::kInternal, error.what());
    }
  }

  EventLoop& loop_;
  const Handler& handler_;
  const base::Duration time_limit_;
  std::mutex mutex_;
  std::condition_variable offered_;
  // Guarded by mutex_.
  bool is_busy_ = false;
  std::optional<HttpRequest> request_;
  HttpServer::Respond respond_;

  std::thread thread_;
};

}  // namespace

void ServeHttp(const ListenAddress& address, base::Duration time_limit, const Handler& handler) {
  // The first process of a container gets no signal that it has no handler for.
  std::signal(SIGTERM, [](int) { ::_exit(0); });
  EventLoop loop;
  HandlerThread invocations(loop, handler, time_limit);
  const HttpServer server(
      loop,
      [&](HttpRequest request, const HttpServer::Respond& respond) {
        if (request.method == "GET") return respond({.status = 200, .headers = {}, .body = "ok\n"});
        if (request.method != "POST") {
          return respond(Failure(405, ErrorCode::kInvalidArgument, "invocations are POSTs"));
        }
        if (request.target == "/init") return respond(JsonResponse(200, R"({"ok":true})"));
        invocations.Offer(std::move(request), respond);
      },
      address);
  base::Log(base::LogLevel::kInfo, fmt::format("listening on {}", server.endpoint()));
  loop.Run();
  LAMBDAML_CHECK(false && "a loop that nobody finishes has ended");
  std::abort();
}

}  // namespace lambdaml::faas
