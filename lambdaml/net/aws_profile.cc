#include "lambdaml/net/aws_profile.h"

#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/base/units.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

constexpr size_t kFileBytesMax = 1 << 20;

std::string FilePath(const char* variable, std::string_view name_in_home,
                     const Environment& environment) {
  const std::string home = environment("HOME").value_or("");
  std::string path = environment(variable).value_or("~/.aws/" + std::string(name_in_home));
  if (path.starts_with("~/")) path.replace(0, 1, home);
  return path;
}

IniFile ReadIniFile(const std::string& path) {
  if (!base::FileExists(path)) return {};
  const base::Blob content = base::MapFile(path);
  if (content.size() > kFileBytesMax) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: larger than {}", path, base::FormatBytes(kFileBytesMax)));
  }
  return ParseIni(content.text(), path);
}

std::string_view Unquoted(std::string_view text) {
  const bool is_quoted = text.size() >= 2 && (text.front() == '"' || text.front() == '\'') &&
                         text.back() == text.front();
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

// The section "[<kind> <name>]", where the name may be quoted.
const IniSection* FindSection(const IniFile& file, std::string_view kind, std::string_view name) {
  for (const auto& [title, section] : file) {
    const size_t space = title.find_first_of(" \t");
    if (space == std::string::npos || std::string_view(title).substr(0, space) != kind) continue;
    const size_t begin = title.find_first_not_of(" \t", space);
    if (Unquoted(std::string_view(title).substr(begin)) == name) return &section;
  }
  return nullptr;
}

const IniSection* FindTitle(const IniFile& file, const std::string& title) {
  const auto section = file.find(title);
  return section == file.end() ? nullptr : &section->second;
}

}  // namespace

std::optional<std::string> AwsProfile::Find(std::string_view property) const {
  const auto found = properties.find(property);
  if (found == properties.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

AwsProfile LoadAwsProfile(const std::optional<std::string>& name, const Environment& environment) {
  AwsProfile profile;
  const std::optional<std::string> asked_for = name ? name : environment("AWS_PROFILE");
  profile.name = asked_for.value_or("default");
  profile.config_path = FilePath("AWS_CONFIG_FILE", "config", environment);
  profile.credentials_path = FilePath("AWS_SHARED_CREDENTIALS_FILE", "credentials", environment);

  const IniFile credentials = ReadIniFile(profile.credentials_path);
  const IniFile config = ReadIniFile(profile.config_path);
  const IniSection* in_config = FindSection(config, "profile", profile.name);
  if (in_config == nullptr && profile.name == "default") in_config = FindTitle(config, "default");
  const IniSection* const in_credentials = FindTitle(credentials, profile.name);
  profile.exists = in_config != nullptr || in_credentials != nullptr;
  if (!profile.exists && asked_for) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("AWS profile \"{}\" stands neither in {} (as [profile {}]) nor in {} "
                            "(as [{}]): add it, or name another one",
                            profile.name, profile.config_path, profile.name,
                            profile.credentials_path, profile.name));
  }
  // insert() leaves what is there already.
  if (in_credentials != nullptr) profile.properties = *in_credentials;
  if (in_config != nullptr) profile.properties.insert(in_config->begin(), in_config->end());

  if (const auto services = profile.Find("services")) {
    const IniSection* const section = FindSection(config, "services", *services);
    if (section == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{}: profile \"{}\" names the section [services {}], which is not "
                              "there",
                              profile.config_path, profile.name, *services));
    }
    profile.services = *section;
  }
  return profile;
}

}  // namespace lambdaml::net
