#include "lambdaml/faas/execution_environment.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/check.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

constexpr base::Duration kMemoryWatchInterval = std::chrono::milliseconds(25);
constexpr base::Duration kTerminationGrace = std::chrono::milliseconds(500);
constexpr double kBytesPerMb = 1024 * 1024;

double Milliseconds(base::Duration duration) { return base::Seconds(duration) * 1e3; }

HttpResponse JsonResponse(int status, std::string body) {
  return {
      .status = status, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

// The Runtime API's answers to posts.
HttpResponse Accepted() { return JsonResponse(202, R"({"status":"OK"})"); }

HttpResponse Refused(int status, std::string_view error_type, std::string_view message) {
  base::Json body;
  body.Set("errorMessage", message);
  body.Set("errorType", error_type);
  return JsonResponse(status, body.Dump());
}

HttpResponse WrongState(std::string_view what) {
  return Refused(403, "InvalidStateTransition",
                 fmt::format("{} is not allowed in the runtime's present state", what));
}

std::string UtcTime(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm parts = {};
  ::gmtime_r(&now, &parts);
  std::array<char, 64> text = {};
  return {text.data(), std::strftime(text.data(), text.size(), format, &parts)};
}

}  // namespace

ExecutionEnvironment::ExecutionEnvironment(EventLoop& loop, const FunctionConfig& config,
                                           int number, Owner& owner)
    : loop_(loop),
      config_(config),
      owner_(owner),
      arn_(FunctionArn(config.name)),
      scratch_(config.scratch_parent, "lambda-"),
      log_(fmt::format("{}/{}-{}.log", config.log_directory, config.name, number)),
      runtime_api_(loop, [this](HttpRequest request, HttpServer::Respond respond) {
        OnRequest(std::move(request), std::move(respond));
      }) {
  log_begin_bytes_ = log_.size_bytes();
  process_start_ = base::SystemClock().Now();
  process_.emplace(ProcessOptions{
      .program = config_.program,
      .arguments = config_.arguments,
      .environment = ProcessEnvironment(),
      .working_directory = std::filesystem::path(config_.program).parent_path().string(),
      .output_descriptor = log_.descriptor()});
  process_end_ = loop_.WhenReadable(process_->pidfd(), [this] { OnProcessEnd(); });
  time_limit_ = loop_.After(config_.init_timeout, [this] { OnTimeout(config_.init_timeout); });
  WatchMemory();
}

// As the developer guide lists them ("Defined runtime environment variables"), and TMPDIR, since
// several environments cannot share this machine's /tmp.
std::vector<std::string> ExecutionEnvironment::ProcessEnvironment() const {
  const std::filesystem::path program = config_.program;
  const std::vector<std::pair<std::string, std::string>> defined = {
      {"_HANDLER", program.filename().string()},
      {"AWS_DEFAULT_REGION", std::string(kLocalRegion)},
      {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", std::to_string(config_.memory_mb)},
      {"AWS_LAMBDA_FUNCTION_NAME", config_.name},
      {"AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"},
      {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
      {"AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + config_.name},
      {"AWS_LAMBDA_LOG_STREAM_NAME", UtcTime("%Y/%m/%d") + "/[$LATEST]" + RandomHex(32)},
      {"AWS_LAMBDA_RUNTIME_API", runtime_api_.endpoint()},
      {"AWS_REGION", std::string(kLocalRegion)},
      {"LAMBDA_RUNTIME_DIR", "/var/runtime"},
      {"LAMBDA_TASK_ROOT", program.parent_path().string()},
      {"LANG", "en_US.UTF-8"},
      {"PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"},
      {"TMPDIR", scratch_.path()},
      {"TZ", ":UTC"},
  };
  std::vector<std::string> variables;
  for (const auto& [name, value] : config_.environment) variables.push_back(name + "=" + value);
  for (const auto& variable : defined) {
    const bool given = std::ranges::any_of(
        config_.environment, [&](const auto& own) { return own.first == variable.first; });
    if (!given) variables.push_back(variable.first + "=" + variable.second);
  }
  return variables;
}

void ExecutionEnvironment::OnRequest(HttpRequest request, HttpServer::Respond respond) {
  std::string_view path = request.target;
  if (state_ == State::kEnding) return respond(WrongState("any request"));
  if (request.method == "GET" && path == kRuntimeNextPath) return OnNext(std::move(respond));
  if (request.method == "POST" && path == kRuntimeInitErrorPath) {
    return OnInitError(request, respond);
  }
  if (request.method == "POST" && path.starts_with(kRuntimeInvocationPrefix)) {
    path.remove_prefix(kRuntimeInvocationPrefix.size());
    const size_t slash = path.find('/');
    const std::string request_id(path.substr(0, slash));
    const std::string_view verb = slash == path.npos ? "" : path.substr(slash + 1);
    if (verb == "response" || verb == "error") {
      return OnAnswer(request_id, verb == "error", std::move(request), respond);
    }
  }
  respond(Refused(404, "NotFound",
                  fmt::format("no such resource: {} {}", request.method, request.target)));
}

void ExecutionEnvironment::OnNext(HttpServer::Respond respond) {
  switch (state_) {
    case State::kInitialising:
      init_duration_ = base::SystemClock().Now() - process_start_;
      break;
    case State::kIdle:  // the runtime's earlier connection is lost: the new request counts
      waiting_next_(WrongState("a second /next"));
      break;
    case State::kInvoking:
      return RespondWithInvocation(respond);  // the answer to its first request was lost
    case State::kReturning:
    case State::kEnding:
      break;
  }
  waiting_next_ = std::move(respond);
  time_limit_.reset();
  memory_watch_.reset();
  const bool returning = std::exchange(state_, State::kIdle) == State::kReturning;
  if (returning) {
    Answer answer = *std::exchange(answer_, std::nullopt);
    const auto kind = answer.failed ? InvocationOutcome::Kind::kFunctionError
                                    : InvocationOutcome::Kind::kReturned;
    EndInvocation(kind, std::move(answer));
  } else if (invocation_) {
    Deliver();
  }
}

void ExecutionEnvironment::Assign(AcceptedInvocation invocation) {
  LAMBDAML_CHECK(!invocation_ && state_ != State::kEnding);
  invocation_ = std::move(invocation);
  if (state_ == State::kIdle) Deliver();
}

void ExecutionEnvironment::Deliver() {
  state_ = State::kInvoking;
  if (!cold_) log_begin_bytes_ = log_.size_bytes();
  log_.AppendLine(fmt::format("START RequestId: {} Version: $LATEST", invocation_->request_id));
  const auto deadline = std::chrono::system_clock::now() + config_.timeout;
  deadline_epoch_ms_ =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline.time_since_epoch()).count();
  invocation_start_ = base::SystemClock().Now();
  time_limit_ = loop_.After(config_.timeout, [this] { OnTimeout(config_.timeout); });
  WatchMemory();
  RespondWithInvocation(std::exchange(waiting_next_, nullptr));
}

void ExecutionEnvironment::RespondWithInvocation(const HttpServer::Respond& respond) const {
  respond({.status = 200,
           .headers = {{"Content-Type", "application/json"},
                       {"Lambda-Runtime-Aws-Request-Id", invocation_->request_id},
                       {"Lambda-Runtime-Deadline-Ms", std::to_string(deadline_epoch_ms_)},
                       {"Lambda-Runtime-Invoked-Function-Arn", arn_},
                       {"Lambda-Runtime-Trace-Id", invocation_->trace_id}},
           .body = invocation_->payload});
}

void ExecutionEnvironment::OnAnswer(std::string_view request_id, bool failed, HttpRequest request,
                                    const HttpServer::Respond& respond) {
  if (!invocation_ || request_id != invocation_->request_id) {
    return respond(Refused(400, "InvalidRequestID", "Invalid request ID"));
  }
  if (state_ != State::kInvoking) return respond(WrongState("a second answer"));
  invocation_duration_ = base::SystemClock().Now() - invocation_start_;
  state_ = State::kReturning;
  if (request.body.size() > kResponseSizeMaxBytes) {
    answer_ = {.failed = true,
               .error_type = std::string(kResponseTooLargeType),
               .payload = FunctionErrorBody(kResponseTooLargeType,
                                            ResponseTooLargeMessage(request.body.size()))};
    return respond(Refused(
        413, "RequestEntityTooLarge",
        fmt::format("Exceeded maximum allowed payload size ({} bytes).", kResponseSizeMaxBytes)));
  }
  answer_ = {.failed = failed, .error_type = {}, .payload = std::move(request.body)};
  if (failed) {
    const std::string_view type = FindHeader(request.headers, kFunctionErrorTypeHeader);
    answer_->error_type = type.empty() ? "Runtime.UnknownReason" : std::string(type);
  }
  respond(Accepted());
}

void ExecutionEnvironment::OnInitError(const HttpRequest& request,
                                       const HttpServer::Respond& respond) {
  if (state_ != State::kInitialising) return respond(WrongState("/init/error"));
  const std::string_view type = FindHeader(request.headers, kFunctionErrorTypeHeader);
  answer_ = {.failed = true,
             .error_type = type.empty() ? "Runtime.UnknownReason" : std::string(type),
             .payload = request.body};
  respond(Accepted());
  // The runtime is expected to exit by itself now; one that does not is ended.
  end_cause_ = EndCause::kInitError;
  state_ = State::kEnding;
  time_limit_ = loop_.After(kTerminationGrace, [this] { process_->Signal(SIGKILL); });
}

void ExecutionEnvironment::OnTimeout(base::Duration limit) {
  if (invocation_) {
    log_.AppendLine(fmt::format("{} {} Task timed out after {:.2f} seconds",
                                UtcTime("%Y-%m-%dT%H:%M:%SZ"), invocation_->request_id,
                                base::Seconds(limit)));
  }
  Kill(EndCause::kTimeout);
}

void ExecutionEnvironment::SampleMemory() {
  memory_used_max_bytes_ = std::max(memory_used_max_bytes_, process_->ResidentBytes());
}

void ExecutionEnvironment::WatchMemory() {
  memory_watch_ = loop_.After(kMemoryWatchInterval, [this] {
    SampleMemory();
    if (static_cast<double>(memory_used_max_bytes_) > config_.memory_mb * kBytesPerMb) {
      return Kill(EndCause::kOutOfMemory);
    }
    WatchMemory();
  });
}

void ExecutionEnvironment::Kill(EndCause cause) {
  if (state_ == State::kEnding) return;
  if (state_ == State::kInvoking) {
    invocation_duration_ = base::SystemClock().Now() - invocation_start_;
  }
  state_ = State::kEnding;
  end_cause_ = cause;
  process_->Signal(SIGKILL);
}

void ExecutionEnvironment::Shutdown() {
  if (state_ == State::kInvoking) {
    invocation_duration_ = base::SystemClock().Now() - invocation_start_;
  }
  state_ = State::kEnding;
  end_cause_ = EndCause::kShutdown;
  process_->Signal(SIGTERM);
  time_limit_ = loop_.After(kTerminationGrace, [this] { process_->Signal(SIGKILL); });
  if (invocation_) {
    EndInvocation(InvocationOutcome::Kind::kShutdown,
                  {.failed = true, .error_type = std::string(kShutdownErrorType), .payload = {}});
  }
}

// What the caller is told of an invocation whose process ended before it answered.
ExecutionEnvironment::Answer ExecutionEnvironment::AnswerOfEnd(const ExitStatus& status) const {
  std::string type = "Runtime.ExitError";
  std::string cause = fmt::format("Runtime exited with error: {}", status.ToString());
  if (end_cause_ == EndCause::kTimeout) {
    const bool initialised = init_duration_ > base::Duration::zero();
    type = "Sandbox.Timedout";
    cause = fmt::format("Task timed out after {:.2f} seconds",
                        base::Seconds(initialised ? config_.timeout : config_.init_timeout));
  } else if (end_cause_ == EndCause::kOutOfMemory) {
    type = "Runtime.OutOfMemory";
  } else if (status.signal == 0 && status.exit_code == 0) {
    cause = "Runtime exited without providing a reason";
  }
  const std::string message =
      fmt::format("RequestId: {} Error: {}", invocation_->request_id, cause);
  return {.failed = true, .error_type = type, .payload = FunctionErrorBody(type, message)};
}

void ExecutionEnvironment::OnProcessEnd() {
  if (state_ == State::kInvoking) {
    invocation_duration_ = base::SystemClock().Now() - invocation_start_;
  }
  state_ = State::kEnding;
  time_limit_.reset();
  memory_watch_.reset();
  const ExitStatus status = process_->Reap();
  if (invocation_) {
    Answer answer = answer_ ? *std::exchange(answer_, std::nullopt) : AnswerOfEnd(status);
    const auto kind = answer.failed ? InvocationOutcome::Kind::kFunctionError
                                    : InvocationOutcome::Kind::kReturned;
    EndInvocation(kind, std::move(answer));
  }
  owner_.OnEnvironmentEnd(*this);  // deletes this
}

void ExecutionEnvironment::EndInvocation(InvocationOutcome::Kind kind, Answer answer) {
  InvocationRecord record = Report(answer.error_type);
  InvocationOutcome outcome = {.kind = kind,
                               .payload = std::move(answer.payload),
                               .log_tail = log_.Tail(log_begin_bytes_, kLogTailSizeMaxBytes)};
  AcceptedInvocation invocation = std::move(*std::exchange(invocation_, std::nullopt));
  owner_.OnInvocationEnd(*this, std::move(invocation), std::move(outcome), std::move(record));
}

InvocationRecord ExecutionEnvironment::Report(const std::string& error_type) {
  SampleMemory();
  InvocationRecord record;
  record.function_name = config_.name;
  record.request_id = invocation_->request_id;
  record.attempt = invocation_->attempt;
  record.error_type = error_type;
  record.cold_start = std::exchange(cold_, false);
  if (record.cold_start) record.init_duration_ms = Milliseconds(init_duration_);
  record.duration_ms = Milliseconds(std::exchange(invocation_duration_, base::Duration::zero()));
  record.billed_duration_ms =
      static_cast<int64_t>(std::ceil(record.duration_ms + record.init_duration_ms));
  record.memory_mb = config_.memory_mb;
  record.memory_used_max_bytes = memory_used_max_bytes_;
  record.log_path = log_.path();

  std::string line = fmt::format(
      "REPORT RequestId: {}\tDuration: {:.2f} ms\tBilled Duration: {} ms\tMemory Size: {} MB\t"
      "Max Memory Used: {:.0f} MB\t",
      record.request_id, record.duration_ms, record.billed_duration_ms, record.memory_mb,
      std::ceil(static_cast<double>(record.memory_used_max_bytes) / kBytesPerMb));
  if (record.cold_start) {
    line += fmt::format("Init Duration: {:.2f} ms\t", record.init_duration_ms);
  }
  if (error_type == "Sandbox.Timedout") {
    line += "Status: timeout\t";
  } else if (!error_type.empty()) {
    line += fmt::format("Status: error\tError Type: {}\t", error_type);
  }
  log_.AppendLine(fmt::format("END RequestId: {}", record.request_id));
  log_.AppendLine(line);
  return record;
}

}  // namespace lambdaml::faas
