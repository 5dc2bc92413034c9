// Brings the function and what it needs into an AWS account, by one CloudFormation stack.
#pragma once

#include <string>

#include "lambdaml/aws/cloud_formation.h"
#include "lambdaml/aws/session.h"
#include "lambdaml/base/bytes.h"
#include "lambdaml/base/clock.h"
#include "lambdaml/deploy/stack_follower.h"

namespace lambdaml::deploy {

struct DeployOptions {
  std::string stack = "lambdaml";
  aws::Texts parameters;    // of the template; those not given stay as the stack has them
  base::ByteSpan package;   // the function's zip
  bool is_dry_run = false;  // show what would change, and leave everything as it is
};

// Uploads the package under its content hash, makes a change set, shows and executes it, and
// follows it to the end; then deletes the packages of earlier deployments. A stack that is as it
// should be is left alone. Where the stack is to have a bucket of its own, that is made first, by a
// change set without the function.
// Returns the stack as it is then (a dry run: as it was).
// Errors: kUnavailable with CloudFormation's reason when the stack fails; kAlreadyExists while
// somebody else changes it; kCancelled; those of the services.
aws::Stack Deploy(const aws::Session& session, const DeployOptions& options, const Console& console,
                  const base::Deadline& deadline);

// The folder of a stack's packages in a bucket, as a store's URL.
std::string CodeUrl(const aws::Session& session, const std::string& bucket,
                    const std::string& prefix, const std::string& stack);

}  // namespace lambdaml::deploy
