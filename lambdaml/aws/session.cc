#include "lambdaml/aws/session.h"

#include <utility>

#include "lambdaml/net/aws_config.h"

namespace lambdaml::aws {

namespace {

net::AwsConfig ConfigOf(const Session& session, std::string_view service) {
  net::AwsConfigOptions options;
  options.region = session.region;
  options.environment = session.environment;
  return net::ResolveAwsConfig(service, options);
}

}  // namespace

net::AwsClientOptions ClientOptions(const Session& session, std::string_view service,
                                    ErrorParser parse_error) {
  const net::AwsConfig config = ConfigOf(session, service);
  net::AwsClientOptions options;
  options.service = service;
  options.region = config.region;
  options.endpoint = config.endpoint;
  options.credentials = session.credentials;
  options.parse_error = std::move(parse_error);
  return options;
}

std::string RegionOf(const Session& session) { return ConfigOf(session, "sts").region; }

}  // namespace lambdaml::aws
