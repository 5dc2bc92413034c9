// The sources of the credentials chain, each on its own. A part of CredentialsChain.
//
// Each gives the credentials it has; or nothing, and says in `why_not` what it looked for, ready
// for "tried: …". A source that is set up wrongly throws, because going on to the next one would
// hide the mistake. Errors: kInvalidArgument (malformed), kPermissionDenied (refused),
// kUnavailable, kDeadlineExceeded.
#pragma once

#include <optional>
#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/net/credentials.h"
#include "lambdaml/net/environment.h"
#include "lambdaml/net/http_client.h"

namespace lambdaml::net {

std::optional<Credentials> CredentialsOfEnvironment(const Environment& environment,
                                                    std::string* why_not);

// profile: as for LoadAwsProfile. Profiles that need another service first (roles, SSO, a program)
// are refused, with the way to get plain credentials out of them.
std::optional<Credentials> CredentialsOfProfile(const std::optional<std::string>& profile,
                                                const Environment& environment,
                                                std::string* why_not);

// Tried again while it may help, for a few seconds.
std::optional<Credentials> CredentialsOfContainer(const Environment& environment, HttpClient& http,
                                                  const base::Deadline& deadline,
                                                  std::string* why_not);

// A machine that is not an EC2 instance answers nothing at all: each request is given one second.
std::optional<Credentials> CredentialsOfInstance(const Environment& environment, HttpClient& http,
                                                 const base::Deadline& deadline,
                                                 std::string* why_not);

}  // namespace lambdaml::net
