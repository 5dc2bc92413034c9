// One profile of the shared AWS config and credentials files.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lambdaml/net/environment.h"
#include "lambdaml/net/ini.h"

namespace lambdaml::net {

struct AwsProfile {
  std::string name;  // "default" unless asked for
  bool exists = false;
  IniSection properties;  // of both files; those of the credentials file go first
  IniSection services;    // the config file's [services …] section that the profile names
  std::string config_path;
  std::string credentials_path;

  // Nothing if the property is missing or empty.
  std::optional<std::string> Find(std::string_view property) const;
};

// Reads the profile `name`, else AWS_PROFILE, else "default", from AWS_CONFIG_FILE or
// ~/.aws/config and AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials. A file that is not there is
// an empty one.
// Errors: kInvalidArgument for a malformed file, or a profile that is asked for by name and stands
// in neither file; kPermissionDenied for a file that cannot be read.
AwsProfile LoadAwsProfile(const std::optional<std::string>& name, const Environment& environment);

}  // namespace lambdaml::net
