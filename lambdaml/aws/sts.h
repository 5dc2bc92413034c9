// AWS Security Token Service: whose credentials these are.
#pragma once

#include <string>

#include "lambdaml/aws/session.h"
#include "lambdaml/base/clock.h"

namespace lambdaml::aws {

struct CallerIdentity {
  std::string account;  // twelve digits
  std::string arn;      // of the user or the assumed role
};

// One request; needs no permission, so it fails for wrong credentials only.
// Errors: as net::AwsClient::Send.
CallerIdentity GetCallerIdentity(const Session& session, const base::Deadline& deadline);

}  // namespace lambdaml::aws
