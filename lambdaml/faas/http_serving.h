// The function as an HTTP server, one invocation at a time: for Knative, Cloud Run, OpenFaaS and
// whatever else starts a container and sends it requests, or for a machine of one's own.
//
//   POST /any/path   body: the payload; 200 and the response, or 500 and
//                    {"errorType": …, "errorMessage": …}; 429 while another invocation runs
//   POST /init       200: OpenWhisk's docker actions begin with it
//   POST /run        OpenWhisk: the payload is the body's "value", its end the body's "deadline"
//   GET /any/path    200 "ok": health checks, also while an invocation runs
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/base/clock.h"
#include "lambdaml/faas/http_server.h"
#include "lambdaml/faas/runtime.h"

namespace lambdaml::faas {

// Request header: when the invocation must have ended, in milliseconds since the Unix epoch.
inline constexpr std::string_view kDeadlineHeader = "Lambdaml-Deadline-Ms";

// Serves requests for ever, or until SIGTERM, which ends the process at once. The handler runs on a
// thread of its own. time_limit: of invocations that state no deadline.
// Errors: as HttpServer's constructor.
[[noreturn]] void ServeHttp(const ListenAddress& address, base::Duration time_limit,
                            const Handler& handler);

}  // namespace lambdaml::faas
