#include "lambdaml/train/gang.h"

#include <algorithm>
#include <exception>
#include <fmt/format.h>
#include <system_error>
#include <utility>

#include "lambdaml/base/json.h"

namespace lambdaml::train {
namespace {

// Lambda's error types for what happens to the process, in the project's codes.
base::ErrorCode CodeOfErrorType(std::string_view type) {
  if (type == "Sandbox.Timedout") return base::ErrorCode::kDeadlineExceeded;
  if (type.find("OutOfMemory") != std::string_view::npos)
    return base::ErrorCode::kResourceExhausted;
  if (type.starts_with("Runtime.") || type.starts_with("Sandbox.")) {
    return base::ErrorCode::kUnavailable;
  }
  return base::ErrorCodeFromName(type);
}

// Advice for what users meet and can mend.
std::string_view AdviceFor(std::string_view type) {
  if (type.find("OutOfMemory") != std::string_view::npos) {
    return "; give --memory_mb more, or more --workers";
  }
  if (type == "Sandbox.Timedout") return "; give --timeout more, or more --workers";
  return "";
}

// Lambda's message without the request id that it starts with, which tells people nothing.
std::string_view WithoutRequestId(std::string_view message) {
  constexpr std::string_view kStart = "RequestId: ";
  constexpr std::string_view kEnd = " Error: ";
  const size_t end = message.find(kEnd);
  if (!message.starts_with(kStart) || end == std::string_view::npos) return message;
  return message.substr(end + kEnd.size());
}

// What the function itself wrote among the platform's lines.
std::string OwnLines(std::string_view log) {
  std::string own;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, std::min(log.find('\n'), log.size()));
    log.remove_prefix(std::min(line.size() + 1, log.size()));
    const bool of_platform = line.starts_with("START RequestId:") ||
                             line.starts_with("END RequestId:") ||
                             line.starts_with("REPORT RequestId:") ||
                             line.find(" Task timed out after ") != std::string_view::npos;
    if (!of_platform && !line.empty()) own += fmt::format("\n  {}", line);
  }
  return own;
}

base::Error ErrorOf(int64_t rank, size_t workers, const faas::InvokeResult& result) {
  std::string type = "Unhandled";
  std::string message = result.payload;
  try {
    const base::Json payload = base::Json::Parse(result.payload, "function error");
    if (const base::Json* member = payload.Find("errorType")) type = member->AsString();
    if (const base::Json* member = payload.Find("errorMessage")) message = member->AsString();
  } catch (const base::Error&) {
    // Not the shape Lambda documents: show it as it is.
  }
  std::string text = fmt::format("worker {} of {} failed: {}{}", rank, workers,
                                 WithoutRequestId(message), AdviceFor(type));
  const bool died = type.starts_with("Runtime.") || type.starts_with("Sandbox.");
  const std::string last_words = died ? OwnLines(result.log_tail) : "";
  if (!last_words.empty()) text += fmt::format("\nits log ends:{}", last_words);
  return base::Error(CodeOfErrorType(type), std::move(text));
}

}  // namespace

Gang::Gang(faas::Invoker& invoker, const std::string& function_name,
           std::vector<std::string> payloads, const base::Deadline& deadline)
    : invoker_(invoker),
      function_name_(function_name),
      deadline_(deadline),
      payloads_(std::move(payloads)),
      running_(payloads_.size()),
      responses_(payloads_.size()) {
  threads_.reserve(payloads_.size());
  for (size_t i = 0; i < payloads_.size(); ++i) {
    const auto rank = static_cast<int64_t>(i);
    try {
      threads_.emplace_back([this, rank, i] { InvokeWorker(rank, payloads_[i]); });
    } catch (const std::system_error& error) {
      // Without a thread the worker is one that failed to start; those before it run.
      End(rank, "",
          WorkerFailure{rank, base::Error(base::ErrorCode::kResourceExhausted,
                                          fmt::format("worker {} of {} cannot be invoked: {}", rank,
                                                      payloads_.size(), error.what()))});
    }
  }
}

Gang::~Gang() {
  for (std::thread& thread : threads_) thread.join();
}

void Gang::InvokeWorker(int64_t rank, const std::string& payload) {
  std::string response;
  std::optional<WorkerFailure> failure;
  try {
    faas::InvokeResult result = invoker_.Invoke(function_name_, payload, deadline_);
    if (result.failed()) {
      failure = WorkerFailure{rank, ErrorOf(rank, payloads_.size(), result)};
    } else {
      response = std::move(result.payload);
    }
  } catch (const base::Error& error) {
    failure = WorkerFailure{
        rank, base::Error(error.code(), fmt::format("worker {} of {}: {}", rank, payloads_.size(),
                                                    error.message()))};
  } catch (const std::exception& error) {
    failure = WorkerFailure{rank, base::Error(base::ErrorCode::kInternal,
                                              fmt::format("worker {}: {}", rank, error.what()))};
  }
  End(rank, std::move(response), std::move(failure));
}

void Gang::End(int64_t rank, std::string response, std::optional<WorkerFailure> failure) {
  const std::lock_guard lock(mutex_);
  responses_[static_cast<size_t>(rank)] = std::move(response);
  if (failure && !failure_) failure_ = std::move(failure);
  --running_;
  ended_.notify_all();
}

bool Gang::WaitFor(base::Duration patience) {
  std::unique_lock lock(mutex_);
  return ended_.wait_for(lock, patience, [&] { return running_ == 0 || failure_.has_value(); });
}

std::optional<WorkerFailure> Gang::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

std::vector<std::string> Gang::TakeResponses() {
  const std::lock_guard lock(mutex_);
  return std::move(responses_);
}

}  // namespace lambdaml::train
