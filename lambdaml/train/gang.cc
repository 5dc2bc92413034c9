#include "lambdaml/train/gang.h"

#include <exception>
#include <fmt/format.h>
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
  std::string text =
      fmt::format("worker {} of {} failed: {}{}", rank, workers, message, AdviceFor(type));
  const bool died = type.starts_with("Runtime.") || type.starts_with("Sandbox.");
  if (died && !result.log_tail.empty()) {
    text += fmt::format("\nits log ends:\n{}", result.log_tail);
  }
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
  for (size_t rank = 0; rank < payloads_.size(); ++rank) {
    threads_.emplace_back(
        [this, rank] { InvokeWorker(static_cast<int64_t>(rank), payloads_[rank]); });
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
