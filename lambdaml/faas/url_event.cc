#include "lambdaml/faas/url_event.h"

#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/faas/lambda_protocol.h"

namespace lambdaml::faas {
namespace {

// The body of the HTTP request that the payload describes; nothing if it is another payload.
std::optional<std::string> BodyOfEvent(const std::string& payload) {
  // Jobs have no such member; so most are told without being parsed twice.
  if (payload.find("\"requestContext\"") == std::string::npos) return std::nullopt;
  const base::Json event = base::Json::Parse(payload, "event");
  const base::Json* context = event.is_object() ? event.Find("requestContext") : nullptr;
  if (context == nullptr || !context->is_object() || context->Find("http") == nullptr) {
    return std::nullopt;
  }
  const base::Json* body = event.Find("body");
  if (body == nullptr || body->is_null()) return "";
  const base::Json* is_encoded = event.Find("isBase64Encoded");
  const bool is_base64 = is_encoded != nullptr && is_encoded->AsBool();
  return is_base64 ? DecodeBase64(body->AsString()) : body->AsString();
}

std::string Answer(int status, std::string body) {
  base::Json headers;
  headers.Set("Content-Type", "application/json");
  base::Json answer;
  answer.Set("statusCode", status);
  answer.Set("headers", std::move(headers));
  answer.Set("body", std::move(body));
  return answer.Dump();
}

}  // namespace

Handler TakeUrlEvents(Handler handler) {
  return [handler = std::move(handler)](const Invocation& invocation) {
    const std::optional<std::string> body = BodyOfEvent(invocation.payload);
    if (!body) return handler(invocation);
    Invocation unwrapped = invocation;
    unwrapped.payload = *body;
    try {
      return Answer(200, handler(unwrapped));
    } catch (const base::Error& error) {
      return Answer(500, FunctionErrorBody(base::ErrorCodeName(error.code()), error.message()));
    }
  };
}

}  // namespace lambdaml::faas
