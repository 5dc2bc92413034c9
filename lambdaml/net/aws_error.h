// What the failures of AWS services mean: whether to try again, and what to tell the user.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/base/clock.h"
#include "lambdaml/base/error.h"
#include "lambdaml/net/http_client.h"
#include "lambdaml/net/wall_time.h"

namespace lambdaml::net {

// A failure as a service words it.
struct ServiceError {
  std::string code;         // "NoSuchKey", "ThrottlingException"; empty: it gives none
  std::string message;      // for people
  std::string region = {};  // where to send the request instead, if it says so
};

// The failure in an answer of a service that answers in JSON (Lambda, CloudWatch Logs, …); nothing
// if the answer is a success. One that no service has written, a proxy's perhaps, has no code.
// Source: "AWS restJson1 protocol" and "AWS JSON 1.1 protocol", Smithy 2.0 specification.
std::optional<ServiceError> ParseJsonError(const HttpResponse& response);

// Whether the same request may succeed a little later: 429, 500, 502, 503, 504, and the codes by
// which services say that they are too busy or had a fault of their own, under any status.
bool MayPass(int status, std::string_view code);

// Whether the session's token is no longer valid: other credentials may be.
bool IsExpiredToken(std::string_view code);

// How long the service asks to be left alone (Retry-After in seconds, at most a minute); zero if it
// does not.
base::Duration RetryAfter(const HttpResponse& response);

// The Error to show for an answer that is a failure, beginning with "operation: " and saying what
// to do. Codes: kPermissionDenied (credentials, permission, clock), kNotFound, kAlreadyExists,
// kResourceExhausted, kInvalidArgument (region, a refused request), kUnavailable.
// authority: "host:port". region: which the request was signed for. now: when it was answered, to
// see how far this machine's clock is off.
struct FailedRequest {
  std::string_view operation;
  std::string_view authority;
  std::string_view region;
  WallTime now;
};
base::Error ExplainFailure(const FailedRequest& request, const HttpResponse& response,
                           const ServiceError& error);

}  // namespace lambdaml::net
