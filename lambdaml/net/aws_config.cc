#include "lambdaml/net/aws_config.h"

#include <algorithm>
#include <fmt/format.h>

#include "lambdaml/base/error.h"
#include "lambdaml/net/aws_profile.h"
#include "lambdaml/net/url.h"

namespace lambdaml::net {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kRegionOfCustomEndpoint = "us-east-1";

// Something found, and where: for messages.
struct Found {
  std::string value;
  std::string source;
};

// "lambda" gives "AWS_ENDPOINT_URL_LAMBDA".
std::string EndpointVariable(std::string_view service) {
  std::string variable = "AWS_ENDPOINT_URL_";
  for (const char c : service) {
    variable += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c == '-' ? '_' : c;
  }
  return variable;
}

// The options, the environment and the profile, which is read only when something is still unknown.
class Sources {
 public:
  explicit Sources(const AwsConfigOptions& options) : options_(options) {}

  std::optional<Found> Region() {
    if (options_.region) return Found{*options_.region, "the region option"};
    for (const char* const variable : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
      if (const auto value = options_.environment(variable)) return Found{*value, variable};
    }
    if (const auto value = Profile().Find("region")) return Found{*value, Profile().config_path};
    return std::nullopt;
  }

  std::optional<Found> Endpoint(std::string_view service) {
    if (options_.endpoint) return Found{*options_.endpoint, "the endpoint option"};
    const auto ignored = options_.environment("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    if (ignored == "true" || ignored == "TRUE" || ignored == "True") return std::nullopt;
    for (const std::string& variable :
         {EndpointVariable(service), std::string("AWS_ENDPOINT_URL")}) {
      if (const auto value = options_.environment(variable)) return Found{*value, variable};
    }
    const AwsProfile& profile = Profile();
    const auto of_service = profile.services.find(std::string(service) + ".endpoint_url");
    if (of_service != profile.services.end()) return Found{of_service->second, profile.config_path};
    if (const auto value = profile.Find("endpoint_url")) return Found{*value, profile.config_path};
    return std::nullopt;
  }

 private:
  const AwsProfile& Profile() {
    if (!profile_) profile_ = LoadAwsProfile(options_.profile, options_.environment);
    return *profile_;
  }

  const AwsConfigOptions& options_;
  std::optional<AwsProfile> profile_;
};

// A label of a host name: it becomes one.
bool IsRegion(std::string_view region) {
  return !region.empty() && region.size() <= 63 && region.front() != '-' && region.back() != '-' &&
         std::all_of(region.begin(), region.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-';
         });
}

std::string CheckedEndpoint(const Found& found) {
  try {
    const HttpUrl url = ParseHttpUrl(found.value);
    if (url.has_query) throw Error(ErrorCode::kInvalidArgument, "it has a query");
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the endpoint of {}: {}", found.source, error.message()));
  }
  std::string endpoint = found.value;
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

}  // namespace

AwsConfig ResolveAwsConfig(std::string_view service, const AwsConfigOptions& options) {
  Sources sources(options);
  AwsConfig config;
  const std::optional<Found> endpoint = sources.Endpoint(service);
  const std::optional<Found> region = sources.Region();
  config.is_custom_endpoint = endpoint.has_value();
  if (region) {
    if (!IsRegion(region->value)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\", from {}, is not the name of a region (such as us-east-1)",
                              region->value, region->source));
    }
    config.region = region->value;
  } else if (endpoint) {
    config.region = kRegionOfCustomEndpoint;
  } else {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{}: no AWS region is set: give --region (such as us-east-1), set "
                            "AWS_REGION, or set `region` in the profile",
                            service));
  }
  const std::string_view domain =
      config.region.starts_with("cn-") ? "amazonaws.com.cn" : "amazonaws.com";
  config.endpoint = endpoint ? CheckedEndpoint(*endpoint)
                             : fmt::format("https://{}.{}.{}", service, config.region, domain);
  return config;
}

}  // namespace lambdaml::net
