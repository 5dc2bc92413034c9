// Where an AWS service is: region and endpoint, from options, environment and the config file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/net/environment.h"

namespace lambdaml::net {

struct AwsConfigOptions {
  std::optional<std::string> region;    // goes before all else
  std::optional<std::string> endpoint;  // http(s)://host[:port][/path], goes before all else
  std::optional<std::string> profile;   // in place of AWS_PROFILE
  Environment environment = ProcessEnvironment();
};

struct AwsConfig {
  std::string region;
  std::string endpoint;             // URL without a trailing slash
  bool is_custom_endpoint = false;  // not AWS's own: given by option, environment or file
};

// service: as in host names and AWS_ENDPOINT_URL_<SERVICE>: "s3", "dynamodb", "lambda", …
// Region: option, AWS_REGION, AWS_DEFAULT_REGION, the profile's `region`; with a custom endpoint
// "us-east-1" if none is given. Endpoint: option, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the
// profile's `endpoint_url` (unless AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true), else
// https://<service>.<region>.amazonaws.com (amazonaws.com.cn in China).
// Errors: kInvalidArgument: no region, a malformed region, endpoint or file; no such profile.
AwsConfig ResolveAwsConfig(std::string_view service, const AwsConfigOptions& options = {});

}  // namespace lambdaml::net
