#include "lambdaml/train/service_environment.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unistd.h>

#include "lambdaml/base/error.h"
#include "lambdaml/net/aws_config.h"
#include "lambdaml/place/place.h"
#include "lambdaml/ps/address.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::train {
namespace {

constexpr std::string_view kRedisPassword = "REDIS_PASSWORD";
constexpr std::array<std::string_view, 11> kInherited = {
    "HOME",        "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY",     kRedisPassword, ps::kTokenVariable,
    "https_proxy", "http_proxy",  "no_proxy",   "SSL_CERT_DIR", "SSL_CERT_FILE"};

bool IsInherited(std::string_view name) {
  if (name.starts_with("AWS_")) return !name.starts_with("AWS_LAMBDA_");
  return std::ranges::find(kInherited, name) != kInherited.end();
}

bool UsesServices(const wire::Job& job) {
  return !place::IsLocal(job.data) || !place::IsLocal(job.init_model) ||
         !place::IsLocal(job.channel);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ServiceEnvironment(const wire::Job& job) {
  std::vector<std::pair<std::string, std::string>> variables;
  if (!UsesServices(job)) return variables;
  bool has_region = false;
  const std::string password =
      place::IsLocal(job.channel) ? "" : store::StoreUrl::Parse(job.channel).password;
  if (!password.empty()) variables.emplace_back(kRedisPassword, password);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view variable = *entry;
    const size_t equals = variable.find('=');
    const std::string_view name = variable.substr(0, equals);
    if (equals == variable.npos || !IsInherited(name)) continue;
    if (name == kRedisPassword && !password.empty()) continue;
    has_region = has_region || name == "AWS_REGION";
    variables.emplace_back(name, variable.substr(equals + 1));
  }
  if (has_region) return variables;
  try {
    variables.emplace_back("AWS_REGION", net::ResolveAwsConfig("s3").region);
  } catch (const base::Error&) {
    // A job whose services need a region has failed with this error before.
  }
  return variables;
}

}  // namespace lambdaml::train
