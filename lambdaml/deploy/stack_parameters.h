// The parameters of config/function.yaml that a user sets, with the names of the command line. The
// template has their defaults and limits; CloudFormation checks them.
#pragma once

#include <span>
#include <string_view>

namespace lambdaml::deploy {

struct StackParameter {
  std::string_view option;  // "memory_mb"
  std::string_view name;    // "MemoryMb", in the template
  std::string_view placeholder;
  std::string_view help;
};

std::span<const StackParameter> StackParameters();

// The names that this program sets or reads by itself.
inline constexpr const char* kBucketParameter = "Bucket";
inline constexpr const char* kPrefixParameter = "Prefix";
inline constexpr const char* kCodeKeyParameter = "CodeKey";
inline constexpr const char* kWorkerHashParameter = "WorkerHash";
inline constexpr const char* kFunctionNameParameter = "FunctionName";
inline constexpr const char* kBucketOutput = "Bucket";

}  // namespace lambdaml::deploy
