// The parts of a store's URL: scheme://[user[:password]@]rest[?name=value&…].
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lambdaml::store {

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address
  int port = 0;

  bool operator==(const HostPort&) const = default;
};

struct StoreUrl {
  std::string scheme;
  std::string user;  // percent-decoded, as the password
  std::string password;
  std::string authority;  // between the "//", or the '@', and the next '/' or '?'
  std::string path;       // after the authority's '/', without it
  std::map<std::string, std::string, std::less<>> parameters;
  std::string redacted;  // the URL as written, the password replaced by "***": for messages

  // Errors: kInvalidArgument, without the password, if the text has not this form or a parameter is
  // given twice.
  static StoreUrl Parse(std::string_view url);

  // Errors: kInvalidArgument, naming the first parameter that is not among `known`.
  void CheckParameters(std::span<const std::string_view> known) const;

  // The authority as a comma-separated list of host[:port].
  // Errors: kInvalidArgument for an empty host, or a port that is not 1..65535.
  std::vector<HostPort> Hosts(int default_port) const;
};

// The URL without its password, as it may travel in a payload: who opens it there finds the
// password elsewhere (REDIS_PASSWORD). What has no password, or is no URL, comes back as it is.
std::string WithoutPassword(std::string_view url);

}  // namespace lambdaml::store
