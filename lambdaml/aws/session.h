// What all clients of AWS services share: whose requests they are, and where the services are.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/net/aws_client.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/environment.h"

namespace lambdaml::aws {

struct Session {
  std::optional<std::string> region;  // as AwsConfigOptions
  net::Environment environment = net::ProcessEnvironment();
  std::shared_ptr<net::CredentialsProvider> credentials = net::CredentialsChain();
};

// How a service words a failure: the `parse_error` of AwsClientOptions.
using ErrorParser = std::function<std::optional<net::ServiceError>(const net::AwsRequest&,
                                                                   const net::HttpResponse&)>;

// The settings of a client of one service. service: as net::ResolveAwsConfig wants it, and as
// signatures have it. Errors: those of ResolveAwsConfig.
net::AwsClientOptions ClientOptions(const Session& session, std::string_view service,
                                    ErrorParser parse_error);

// The region that the session's requests go to. Errors: those of ResolveAwsConfig.
std::string RegionOf(const Session& session);

}  // namespace lambdaml::aws
