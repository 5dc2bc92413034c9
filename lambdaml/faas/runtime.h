// The function's side of the AWS Lambda Runtime API (2018-06-01): fetch an invocation, run the
// handler, post its result; for ever.
#pragma once

#include <functional>
#include <string>

#include "lambdaml/base/clock.h"

namespace lambdaml::faas {

struct Invocation {
  std::string request_id;
  std::string payload;
  base::Deadline deadline;  // from Lambda-Runtime-Deadline-Ms
  std::string function_arn;
  std::string trace_id;
};

// Returns the response payload, at most 6 MB. An Error it throws becomes an /error post with
// errorType "<code name>" and errorMessage, any other exception one of type "Internal"
// (std::bad_alloc: "ResourceExhausted"); the loop goes on with the next invocation.
using Handler = std::function<std::string(const Invocation&)>;

// Serves invocations from the Runtime API at `api` ("host:port", AWS_LAMBDA_RUNTIME_API): two round
// trips each over one kept connection, replaced when it died while the environment was frozen.
// Returns only by throwing: kUnavailable when the API has gone away, which is how an environment
// ends; kInvalidArgument when `api` is no address. Threads: the handler runs on the caller's.
[[noreturn]] void ServeInvocations(const std::string& api, const Handler& handler);

// Posts /runtime/init/error: the function cannot start. Never throws.
void ReportInitError(const std::string& api, const std::string& error_type,
                     const std::string& message);

}  // namespace lambdaml::faas
