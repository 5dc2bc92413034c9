// Made-up variables and files of AWS, for tests.
#pragma once

#include <gtest/gtest.h>
#include <map>
#include <string>

#include "lambdaml/base/file.h"
#include "lambdaml/net/environment.h"

namespace lambdaml::net {

class AwsSettings {
 public:
  AwsSettings() : home_(testing::TempDir(), "aws-settings-") {
    Set("HOME", home_.path());
    Set("AWS_EC2_METADATA_DISABLED", "true");  // the machine may be an EC2 instance
  }

  void Set(const std::string& variable, const std::string& value) { variables_[variable] = value; }

  void Unset(const std::string& variable) { variables_.erase(variable); }

  // Writes ~/.aws/<name>: "config" or "credentials".
  void Write(const std::string& name, const std::string& content) const {
    base::MakeDirectories(home_.path() + "/.aws");
    base::WriteFileAtomic(PathOf(name), base::AsBytes(content));
  }
  std::string PathOf(const std::string& name) const { return home_.path() + "/.aws/" + name; }

  Environment environment() const {
    return [variables = variables_](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
  }

 private:
  base::TemporaryDirectory home_;
  std::map<std::string, std::string> variables_;
};

}  // namespace lambdaml::net
