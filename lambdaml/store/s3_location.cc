#include "lambdaml/store/s3_location.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/net/aws_config.h"
#include "lambdaml/store/key.h"

namespace lambdaml::store {
namespace {

constexpr std::array<std::string_view, 3> kParameters = {"region", "endpoint", "addressing"};
constexpr size_t kBucketSizeMin = 3;
constexpr size_t kBucketSizeMax = 63;
constexpr size_t kObjectKeySizeMaxBytes = 1024;
constexpr size_t kPrefixSizeMaxBytes = kObjectKeySizeMaxBytes - kKeySizeMaxBytes - 1;

[[noreturn]] void Refuse(const StoreUrl& url, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", url.redacted, what));
}

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// Source: "General purpose bucket naming rules", Amazon S3 User Guide.
bool IsBucketName(std::string_view name) {
  return name.size() >= kBucketSizeMin && name.size() <= kBucketSizeMax &&
         IsLowerOrDigit(name.front()) && IsLowerOrDigit(name.back()) &&
         std::ranges::all_of(name,
                             [](char c) { return IsLowerOrDigit(c) || c == '.' || c == '-'; }) &&
         name.find("..") == name.npos;
}

void CheckBucket(const StoreUrl& url) {
  if (url.authority.find('@') != std::string::npos || !url.user.empty() || !url.password.empty()) {
    Refuse(url,
           "credentials do not belong into the URL: set AWS_ACCESS_KEY_ID and "
           "AWS_SECRET_ACCESS_KEY, or a profile");
  }
  if (url.authority.find(':') != std::string::npos) {
    Refuse(url, "a bucket is expected, not a host: s3://bucket/prefix?endpoint=http://host:port");
  }
  if (!IsBucketName(url.authority)) {
    Refuse(url, fmt::format("\"{}\" is no bucket name: {} to {} of a-z 0-9 . -, the first and the "
                            "last a letter or a digit",
                            url.authority, kBucketSizeMin, kBucketSizeMax));
  }
  if (url.authority.ends_with("--x-s3")) {
    Refuse(url,
           "directory buckets (S3 Express One Zone) are not supported: use a general purpose "
           "bucket");
  }
}

// Proxies and servers disagree about "//", "." and "..", so none may occur.
bool IsPrefix(std::string_view prefix) {
  if (prefix.size() > kPrefixSizeMaxBytes) return false;
  for (std::string_view left = prefix;;) {
    const size_t slash = left.find('/');
    const std::string_view component = left.substr(0, slash);
    if (component.empty() || component == "." || component == "..") return false;
    if (slash == left.npos) break;
    left.remove_prefix(slash + 1);
  }
  return std::ranges::none_of(
      prefix, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

bool IsAmazonHost(std::string_view endpoint) {
  const size_t host = endpoint.find("://") + 3;
  const std::string_view name = endpoint.substr(host, endpoint.find_first_of(":/", host) - host);
  return name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn");
}

}  // namespace

S3Location LocateS3(const StoreUrl& url, const net::Environment& environment) {
  CheckBucket(url);
  url.CheckParameters(kParameters);
  const auto parameter = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = url.parameters.find(name);
    return found == url.parameters.end() ? std::nullopt : std::optional(found->second);
  };
  const std::string_view prefix =
      std::string_view(url.path).substr(0, url.path.size() - (url.path.ends_with('/') ? 1 : 0));
  if (!url.path.empty() && !IsPrefix(prefix)) {
    Refuse(url, fmt::format("the prefix must be '/'-separated names, none of them empty, \".\" or "
                            "\"..\", without control characters, of at most {} bytes in all",
                            kPrefixSizeMaxBytes));
  }
  const net::AwsConfig config = net::ResolveAwsConfig("s3", {.region = parameter("region"),
                                                             .endpoint = parameter("endpoint"),
                                                             .profile = std::nullopt,
                                                             .environment = environment});
  const std::string addressing =
      parameter("addressing")
          .value_or(IsAmazonHost(config.endpoint) && url.authority.find('.') == std::string::npos
                        ? "virtual"
                        : "path");
  if (addressing != "virtual" && addressing != "path") {
    Refuse(url, fmt::format("addressing is path or virtual, not \"{}\"", addressing));
  }
  S3Location location = {.url = url.redacted,
                         .bucket = url.authority,
                         .key_prefix = prefix.empty() ? "" : std::string(prefix) + "/",
                         .region = config.region,
                         .endpoint = config.endpoint,
                         .path = "/",
                         .is_custom_endpoint = config.is_custom_endpoint};
  if (addressing == "virtual") {
    location.endpoint.insert(location.endpoint.find("://") + 3, location.bucket + ".");
  } else {
    location.path += location.bucket + "/";
  }
  return location;
}

}  // namespace lambdaml::store
