#include "lambdaml/aws/query_client.h"

#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/net/sigv4.h"

namespace lambdaml::aws {
namespace {

// <ErrorResponse><Error><Code>…</Code><Message>…</Message></Error></ErrorResponse>
std::optional<net::ServiceError> ParseError(const net::AwsRequest&,
                                            const net::HttpResponse& response) {
  if (response.status / 100 == 2) return std::nullopt;
  const std::optional<XmlElement> root = ParseXml(response.body.text());
  const XmlElement* error = root ? root->Find("Error") : nullptr;
  if (error == nullptr) return net::ServiceError{};
  return net::ServiceError{.code = std::string(error->Text("Code")),
                           .message = std::string(error->Text("Message"))};
}

}  // namespace

QueryClient::QueryClient(const Session& session, std::string_view service, std::string version)
    : version_(std::move(version)), client_(ClientOptions(session, service, ParseError)) {}

QueryAnswer QueryClient::Call(const Request& request, const base::Deadline& deadline) {
  std::vector<net::QueryParameter> form = {{"Action", request.action}, {"Version", version_}};
  form.insert(form.end(), request.parameters.begin(), request.parameters.end());
  const std::string body = net::EncodeQuery(form);
  net::AwsRequest http;
  http.operation = request.operation;
  http.method = "POST";
  http.headers = {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}};
  http.body = base::AsBytes(body);
  http.expected_errors = request.expected_errors;
  const net::AwsAnswer answer = client_.Send(http, deadline);

  std::optional<XmlElement> root = ParseXml(answer.response.body.text());
  QueryAnswer parsed = {.result = {}, .error_code = answer.error_code, .error_message = {}};
  if (!answer.error_code.empty()) {
    parsed.error_message = ParseError(http, answer.response)->message;
    return parsed;
  }
  if (!root || root->name != request.action + "Response") {
    throw base::Error(base::ErrorCode::kUnavailable,
                      fmt::format("{}: {} gives an answer that is not a <{}Response>: is it the "
                                  "service that the endpoint is meant for?",
                                  request.operation, client_.authority(), request.action));
  }
  for (XmlElement& child : root->children) {
    if (child.name == request.action + "Result") parsed.result = std::move(child);
  }
  return parsed;
}

}  // namespace lambdaml::aws
