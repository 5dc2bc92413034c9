#include "lambdaml/store/redis_options.h"

#include <array>
#include <charconv>
#include <fmt/format.h>
#include <string_view>

#include "lambdaml/base/error.h"
#include "lambdaml/net/environment.h"
#include "lambdaml/store/key.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {
namespace {

constexpr int kDefaultPort = 6379;
constexpr std::string_view kDefaultPrefix = "lambdaml";

[[noreturn]] void Refuse(const StoreUrl& url, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", url.redacted, what));
}

int ParseDatabase(const StoreUrl& url) {
  if (url.path.empty()) return 0;
  int database = 0;
  const char* const last = url.path.data() + url.path.size();
  const auto [end, error] = std::from_chars(url.path.data(), last, database);
  if (error != std::errc() || end != last || database < 0) {
    Refuse(url, fmt::format("\"{}\" is not the number of a database, as in redis://host:6379/0 "
                            "(a prefix of the keys is given by ?prefix=NAME)",
                            url.path));
  }
  return database;
}

std::string ParameterOf(const StoreUrl& url, std::string_view name, std::string_view otherwise) {
  const auto found = url.parameters.find(name);
  return found == url.parameters.end() ? std::string(otherwise) : found->second;
}

}  // namespace

RedisOptions ParseRedisUrl(const std::string& text) {
  const StoreUrl url = StoreUrl::Parse(text);
  const std::vector<HostPort> hosts = url.Hosts(kDefaultPort);
  if (hosts.size() != 1) Refuse(url, "one host is wanted: the primary");
  url.CheckParameters(std::array<std::string_view, 2>{"prefix", "ca"});
  RedisOptions options;
  options.url = url.redacted;
  options.host = hosts.front().host;
  options.port = hosts.front().port;
  options.use_tls = url.scheme == "rediss";
  options.ca_file = ParameterOf(url, "ca", "");
  if (!options.ca_file.empty() && !options.use_tls) {
    Refuse(url, "ca is for connections with TLS: write rediss://");
  }
  options.user = url.user;
  options.password = url.password;
  if (options.password.empty()) {
    options.password = net::ProcessEnvironment()("REDIS_PASSWORD").value_or("");
  }
  if (!options.user.empty() && options.password.empty()) {
    Refuse(url,
           "the user's password is missing: give it as user:password@, or in REDIS_PASSWORD "
           "(a password without a user is written :password@)");
  }
  options.database = ParseDatabase(url);
  const std::string prefix = ParameterOf(url, "prefix", kDefaultPrefix);
  if (!IsKey(prefix)) {
    Refuse(url, fmt::format("prefix=\"{}\" is wrong: names of A-Z a-z 0-9 . _ -, joined by single "
                            "slashes, are wanted",
                            prefix));
  }
  options.key_prefix = prefix + "/";
  return options;
}

}  // namespace lambdaml::store
