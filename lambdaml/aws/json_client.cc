#include "lambdaml/aws/json_client.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::aws {
namespace {

std::string TextOf(const base::Json& json, std::string_view key) {
  const base::Json* found = json.is_object() ? json.Find(key) : nullptr;
  return found != nullptr && found->is_string() ? found->AsString() : "";
}

// The code stands in the header x-amzn-ErrorType or the member __type, perhaps with a namespace
// before ('#') or an address behind (':'); the message in a member of either spelling.
std::optional<net::ServiceError> ParseError(const net::AwsRequest&,
                                            const net::HttpResponse& response) {
  if (response.status / 100 == 2) return std::nullopt;
  net::ServiceError error;
  try {
    const base::Json json = base::Json::Parse(response.body.text(), "error");
    error.code = TextOf(json, "__type");
    error.message = TextOf(json, "message");
    if (error.message.empty()) error.message = TextOf(json, "Message");
  } catch (const base::Error&) {
    // Not the service's own words: a proxy's, perhaps. The status says enough.
  }
  if (const auto type = response.Header("x-amzn-ErrorType")) error.code = *type;
  error.code = error.code.substr(0, error.code.find(':'));
  error.code = error.code.substr(error.code.rfind('#') + 1);
  return error;
}

}  // namespace

JsonClient::JsonClient(const Session& session, std::string_view service)
    : client_(ClientOptions(session, service, ParseError)) {}

JsonAnswer JsonClient::Call(const net::AwsRequest& request, const base::Deadline& deadline) {
  const net::AwsAnswer answer = client_.Send(request, deadline);
  JsonAnswer parsed = {.body = {}, .error_code = answer.error_code};
  const std::string_view text = answer.response.body.text();
  if (!answer.error_code.empty() || text.empty()) return parsed;
  try {
    parsed.body = base::Json::Parse(text, "answer");
  } catch (const base::Error& error) {
    throw base::Error(base::ErrorCode::kUnavailable,
                      fmt::format("{}: {} gives an answer that is not JSON ({})", request.operation,
                                  client_.authority(), error.message()));
  }
  return parsed;
}

}  // namespace lambdaml::aws
