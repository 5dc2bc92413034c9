// AWS credentials, and where they come from. Secrets appear in no message and no log.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/environment.h"
#include "lambdaml/net/wall_time.h"

namespace lambdaml::net {

struct Credentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;           // empty: long-lived credentials
  std::optional<WallTime> expiration;  // nothing: they do not expire, or nobody says when

  bool operator==(const Credentials&) const = default;
};

// Threads: any, at once.
class CredentialsProvider {
 public:
  virtual ~CredentialsProvider() = default;

  // Credentials that are valid now. Errors: kPermissionDenied when there are none, with what was
  // tried and what to do; kInvalidArgument for a malformed file; kUnavailable, kDeadlineExceeded
  // from an endpoint.
  virtual Credentials Get(const base::Deadline& deadline) = 0;

  // The service said that `rejected` have expired: true if Get may give other ones now.
  virtual bool Renew(const Credentials& rejected) = 0;
};

// Always the same ones.
std::shared_ptr<CredentialsProvider> FixedCredentials(Credentials credentials);

struct CredentialsChainOptions {
  std::optional<std::string> profile;  // in place of AWS_PROFILE
  Environment environment = ProcessEnvironment();
};

// The standard chain; the first source that has credentials is kept, and asked again shortly before
// they expire:
//   1. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN;
//   2. the profile (AWS_PROFILE, else "default") in the shared credentials and config files;
//   3. the container endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI;
//   4. the instance metadata service, version 2, unless AWS_EC2_METADATA_DISABLED.
// A profile given by name goes before the environment's keys. Nothing is read before Get.
std::shared_ptr<CredentialsProvider> CredentialsChain(CredentialsChainOptions options = {});

}  // namespace lambdaml::net
