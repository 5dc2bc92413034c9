// One execution environment of the local platform: a process of the function's program, its own
// /tmp, its log, and the Runtime API at which it fetches invocations, one at a time.
//
//   initialising --/next--> idle --invocation--> invoking --answer--> returning --/next--> idle
//   any state --time-out, memory limit, init error, shutdown--> ending --process gone--> (deleted)
//
// An invocation ends when the runtime asks for the next one (Lambda: "the invoke phase ends after
// the runtime … signals that it is done by sending a Next API request"), so an environment whose
// invocation has ended is idle and is the one to be reused.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/file.h"
#include "lambdaml/faas/child_process.h"
#include "lambdaml/faas/environment_log.h"
#include "lambdaml/faas/event_loop.h"
#include "lambdaml/faas/function_config.h"
#include "lambdaml/faas/http_server.h"
#include "lambdaml/faas/invocation_record.h"

namespace lambdaml::faas {

struct InvocationOutcome {
  enum class Kind {
    kReturned,       // payload: the handler's response
    kFunctionError,  // payload: {"errorType":…,"errorMessage":…}
    kPlatformError,  // payload: what hindered the platform, as text
    kShutdown,       // the platform was shut down first
  };
  Kind kind = Kind::kReturned;
  std::string payload;
  std::string log_tail;
};

// An invocation that the platform has accepted.
struct AcceptedInvocation {
  std::string request_id;
  std::string payload;
  std::string trace_id;
  int attempt = 1;
  std::function<void(InvocationOutcome)> done;  // empty for an event
};

// Threads: the loop's.
class ExecutionEnvironment {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // If environment.idle(), it can be given another invocation already.
    virtual void OnInvocationEnd(ExecutionEnvironment& environment, AcceptedInvocation invocation,
                                 InvocationOutcome outcome, InvocationRecord record) = 0;
    // The process has gone. The owner deletes the environment, during the call if it likes.
    virtual void OnEnvironmentEnd(ExecutionEnvironment& environment) = 0;
  };

  // Starts the process: the `number`th environment of the function. Errors: kNotFound,
  // kPermissionDenied, kResourceExhausted, naming program, folder or log.
  ExecutionEnvironment(EventLoop& loop, const FunctionConfig& config, int number, Owner& owner);
  ExecutionEnvironment(const ExecutionEnvironment&) = delete;
  ExecutionEnvironment& operator=(const ExecutionEnvironment&) = delete;

  bool idle() const { return state_ == State::kIdle && !invocation_; }

  // Gives an environment that has none its invocation. One that still initialises takes it later.
  void Assign(AcceptedInvocation invocation);

  // Ends the process, politely first; its invocation ends at once with kShutdown.
  void Shutdown();

 private:
  enum class State { kInitialising, kIdle, kInvoking, kReturning, kEnding };
  enum class EndCause { kExit, kTimeout, kOutOfMemory, kInitError, kShutdown };
  struct Answer {
    bool failed = false;
    std::string error_type;
    std::string payload;
  };

  std::vector<std::string> ProcessEnvironment() const;

  void OnRequest(HttpRequest request, HttpServer::Respond respond);
  void OnNext(HttpServer::Respond respond);
  void OnInitError(const HttpRequest& request, const HttpServer::Respond& respond);
  void OnAnswer(std::string_view request_id, bool failed, HttpRequest request,
                const HttpServer::Respond& respond);

  void Deliver();
  void RespondWithInvocation(const HttpServer::Respond& respond) const;
  void OnTimeout(base::Duration limit);
  void SampleMemory();
  void WatchMemory();
  void Kill(EndCause cause);
  void OnProcessEnd();
  Answer AnswerOfEnd(const ExitStatus& status) const;
  void EndInvocation(InvocationOutcome::Kind kind, Answer answer);
  InvocationRecord Report(const std::string& error_type);

  EventLoop& loop_;
  const FunctionConfig& config_;
  Owner& owner_;
  const std::string arn_;
  const base::TemporaryDirectory scratch_;
  EnvironmentLog log_;
  HttpServer runtime_api_;
  std::optional<ChildProcess> process_;
  EventLoop::Subscription process_end_;
  EventLoop::Subscription time_limit_;
  EventLoop::Subscription memory_watch_;

  State state_ = State::kInitialising;
  EndCause end_cause_ = EndCause::kExit;
  HttpServer::Respond waiting_next_;  // of a runtime that waits for an invocation
  std::optional<AcceptedInvocation> invocation_;
  std::optional<Answer> answer_;  // the runtime's, to invocation_ or to its start

  base::TimePoint process_start_;
  base::Duration init_duration_{0};
  bool cold_ = true;  // no invocation has been reported yet
  base::TimePoint invocation_start_;
  base::Duration invocation_duration_{0};  // set with answer_
  long long deadline_epoch_ms_ = 0;
  uint64_t log_begin_bytes_ = 0;
  uint64_t memory_used_max_bytes_ = 0;
};

}  // namespace lambdaml::faas
