// Where an S3 store is: the bucket, the prefix of its keys, and how requests reach the bucket.
#pragma once

#include <string>

#include "lambdaml/net/environment.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {

struct S3Location {
  std::string url;  // for messages
  std::string bucket;
  std::string key_prefix;  // "" or "prefix/": an object's key is this and the store's key
  std::string region;
  std::string endpoint;  // URL; its host begins with the bucket's name in virtual-host addressing
  std::string path;      // of the bucket below the endpoint: "/", or "/bucket/" in path addressing
  bool is_custom_endpoint = false;  // not AWS's own
};

// Of s3://bucket/prefix?region=…&endpoint=…&addressing=path|virtual. Region and endpoint come from
// environment and config file where they are not given (net/aws_config.h). Virtual-host addressing
// is the default at amazonaws.com, unless the bucket's name has dots, which no certificate covers;
// path addressing elsewhere.
// Errors: kInvalidArgument: no bucket name or prefix of S3's, credentials in the URL, unknown or
// malformed parameters, no region; a directory bucket (S3 Express One Zone), which wants session
// authentication.
S3Location LocateS3(const StoreUrl& url,
                    const net::Environment& environment = net::ProcessEnvironment());

}  // namespace lambdaml::store
