// Calls of services that speak AWS's Query protocol: a form in, XML out (CloudFormation, STS).
//
// Source: "AWS Query protocol", Smithy 2.0 specification.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lambdaml/aws/session.h"
#include "lambdaml/aws/xml.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/net/aws_client.h"

namespace lambdaml::aws {

struct QueryAnswer {
  XmlElement result;          // <ActionResult>, empty if the answer has none
  std::string error_code;     // empty: success; else one of the expected ones
  std::string error_message;  // with error_code
};

// Threads: any, at once.
class QueryClient {
 public:
  // version: of the service's API, "2010-05-15".
  QueryClient(const Session& session, std::string_view service, std::string version);

  // One request, more if it fails in passing. operation: for messages. expected_errors: codes that
  // are an answer. Errors: as AwsClient::Send; kUnavailable for an answer that is not the
  // protocol's.
  struct Request {
    std::string action;
    std::string operation;
    std::vector<net::QueryParameter> parameters = {};
    std::vector<std::string> expected_errors = {};
  };
  QueryAnswer Call(const Request& request, const base::Deadline& deadline);

 private:
  const std::string version_;
  net::AwsClient client_;
};

}  // namespace lambdaml::aws
