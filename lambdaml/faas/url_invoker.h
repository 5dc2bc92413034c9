// An Invoker over plain POST requests: for workers that serve HTTP (faas/http_serving.h) behind
// Knative, Cloud Run, OpenFaaS or by themselves, and for Lambda function URLs.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "lambdaml/faas/invoker.h"
#include "lambdaml/net/credentials.h"

namespace lambdaml::faas {

struct UrlInvokerOptions {
  // http(s)://host[:port][/path]. One that stands for as many workers as are asked for, or one for
  // each of several workers: an invocation goes to the next one that is not busy.
  std::vector<std::string> urls;
  // Signs requests to Lambda function URLs (…lambda-url.REGION.on.aws), and to others if
  // signing_region is set. May be null if there is nothing to sign.
  std::shared_ptr<net::CredentialsProvider> credentials = nullptr;
  std::string signing_region = {};
  const std::atomic<bool>* cancelled = nullptr;  // set: calls end within a second (kCancelled)
};

// The region of a Lambda function URL; "" for any other URL.
std::string RegionOfFunctionUrl(const std::string& url);

// The payload is the request's body and the response the answer's; the function's name is not used.
// A request that all workers are too busy for (429, 503) is made again for net::kOutageMax; one
// whose answer was lost is not. There are no asynchronous invocations: InvokeAsync throws
// kInvalidArgument. Errors: kInvalidArgument for a malformed URL or none.
std::unique_ptr<Invoker> MakeUrlInvoker(UrlInvokerOptions options);

}  // namespace lambdaml::faas
