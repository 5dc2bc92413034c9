#include "lambdaml/aws/json_client.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::aws {
JsonClient::JsonClient(const Session& session, std::string_view service)
    : client_(ClientOptions(session, service,
                            [](const net::AwsRequest&, const net::HttpResponse& response) {
                              return net::ParseJsonError(response);
                            })) {}

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
