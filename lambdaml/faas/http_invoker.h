// An Invoker over Lambda's Invoke API on plain HTTP: for the local platform, and for any other
// endpoint that speaks it unsigned.
#pragma once

#include <memory>
#include <string>

#include "lambdaml/faas/invoker.h"

namespace lambdaml::faas {

// endpoint: "host:port". Each call takes an idle connection or opens one; calls at the same time
// use different ones. An invocation is never sent twice. Errors: kInvalidArgument (endpoint).
std::unique_ptr<Invoker> MakeHttpInvoker(const std::string& endpoint);

}  // namespace lambdaml::faas
