// Credentials of the environment and of the shared files.
#include <algorithm>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/net/aws_profile.h"
#include "lambdaml/net/credentials_sources.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

// Keys and tokens become headers: they hold neither spaces nor control characters.
bool IsPrintable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

Credentials Checked(Credentials credentials, std::string_view source) {
  if (!IsPrintable(credentials.access_key_id) || !IsPrintable(credentials.secret_access_key) ||
      !IsPrintable(credentials.session_token)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: the AWS keys hold a space or another character that keys do not "
                            "have: copy them anew",
                            source));
  }
  return credentials;
}

// What a profile uses to get its credentials that only AWS's own tools can follow; nullptr: none.
const char* FindUnsupported(const AwsProfile& profile) {
  for (const char* const property :
       {"role_arn", "credential_source", "sso_session", "sso_start_url", "web_identity_token_file",
        "credential_process"}) {
    if (profile.Find(property)) return property;
  }
  return nullptr;
}

}  // namespace

std::optional<Credentials> CredentialsOfEnvironment(const Environment& environment,
                                                    std::string* why_not) {
  const auto key = environment("AWS_ACCESS_KEY_ID");
  const auto secret = environment("AWS_SECRET_ACCESS_KEY");
  if (key && secret) {
    return Checked({.access_key_id = *key,
                    .secret_access_key = *secret,
                    .session_token = environment("AWS_SESSION_TOKEN").value_or(""),
                    .expiration = std::nullopt},
                   "the environment");
  }
  if (key || secret) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is set but {} is not: set both or neither",
                            key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                            key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID"));
  }
  *why_not = "environment (AWS_ACCESS_KEY_ID is not set)";
  return std::nullopt;
}

std::optional<Credentials> CredentialsOfProfile(const std::optional<std::string>& name,
                                                const Environment& environment,
                                                std::string* why_not) {
  const AwsProfile profile = LoadAwsProfile(name, environment);
  if (const char* const property = FindUnsupported(profile)) {
    throw Error(ErrorCode::kPermissionDenied,
                fmt::format("AWS profile \"{0}\" gets its credentials by `{1}`, which is not "
                            "supported: put plain ones into the environment with\n  eval \"$(aws "
                            "configure export-credentials --profile {0} --format env)\"",
                            profile.name, property));
  }
  const auto key = profile.Find("aws_access_key_id");
  const auto secret = profile.Find("aws_secret_access_key");
  if (key && secret) {
    return Checked({.access_key_id = *key,
                    .secret_access_key = *secret,
                    .session_token = profile.Find("aws_session_token").value_or(""),
                    .expiration = std::nullopt},
                   fmt::format("AWS profile \"{}\"", profile.name));
  }
  if (key || secret) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("AWS profile \"{}\" has {} but not {}", profile.name,
                            key ? "aws_access_key_id" : "aws_secret_access_key",
                            key ? "aws_secret_access_key" : "aws_access_key_id"));
  }
  *why_not = fmt::format("profile \"{}\" ({} in {} or {})", profile.name,
                         profile.exists ? "has no aws_access_key_id" : "is not there,",
                         profile.credentials_path, profile.config_path);
  return std::nullopt;
}

}  // namespace lambdaml::net
