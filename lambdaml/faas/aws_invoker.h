// An Invoker over AWS Lambda's Invoke API: signed requests, as the service limits them.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/net/credentials.h"

namespace lambdaml::faas {

struct AwsInvokerOptions {
  std::string region;
  std::string endpoint;  // http(s)://host[:port]
  std::shared_ptr<net::CredentialsProvider> credentials;
  const std::atomic<bool>* cancelled = nullptr;  // set: calls end within a second (kCancelled)
};

// One request for each invocation. Those that the service refuses for now (its quota of executions,
// a function that is being changed) are made again for net::kOutageMax; one whose answer was lost
// is not, because the function may run.
// Errors of its calls, besides Invoker's: kPermissionDenied, kAlreadyExists (the function is being
// changed all the time), kInvalidArgument.
std::unique_ptr<Invoker> MakeAwsInvoker(const AwsInvokerOptions& options);

}  // namespace lambdaml::faas
