// Calls of services that answer in JSON: Lambda (REST) and CloudWatch Logs (a target header).
//
// Sources: "AWS restJson1 protocol" and "AWS JSON 1.1 protocol", Smithy 2.0 specification.
#pragma once

#include <string>
#include <string_view>

#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/base/json.h"
#include "lambdaml/net/aws_client.h"

namespace lambdaml::aws {

struct JsonAnswer {
  base::Json body;         // null if the answer has none
  std::string error_code;  // empty: success; else one of the expected ones
};

// Threads: any, at once.
class JsonClient {
 public:
  JsonClient(const Session& session, std::string_view service);

  // One request, more if it fails in passing. Errors: as AwsClient::Send; kUnavailable for an
  // answer that is no JSON.
  JsonAnswer Call(const net::AwsRequest& request, const base::Deadline& deadline);

 private:
  net::AwsClient client_;
};

}  // namespace lambdaml::aws
