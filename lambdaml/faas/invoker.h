// Starting functions: what the trigger knows of a platform.
#pragma once

#include <string>

#include "lambdaml/base/clock.h"

namespace lambdaml::faas {

// The answer to a synchronous invocation (AWS Lambda API reference, Invoke, RequestResponse).
struct InvokeResult {
  std::string
      function_error;   // X-Amz-Function-Error: "" when the handler returned, else "Unhandled"
  std::string payload;  // the handler's response, or {"errorType":…, "errorMessage":…}
  std::string request_id;
  std::string log_tail;  // last lines of the function's log, if the platform gives them

  bool failed() const { return !function_error.empty(); }
};

// Threads: any, at once.
class Invoker {
 public:
  virtual ~Invoker() = default;

  // Invokes the function and waits for its end. A function that fails is a value; errors are those
  // of the platform: kUnavailable (cannot be reached), kResourceExhausted (throttled, payload too
  // large), kNotFound (no such function), kDeadlineExceeded, kCancelled (platform shut down).
  virtual InvokeResult Invoke(const std::string& function_name, const std::string& payload,
                              const base::Deadline& deadline) = 0;

  // Queues an invocation and returns once the platform has accepted it; the platform retries it.
  virtual void InvokeAsync(const std::string& function_name, const std::string& payload,
                           const base::Deadline& deadline) = 0;
};

}  // namespace lambdaml::faas
