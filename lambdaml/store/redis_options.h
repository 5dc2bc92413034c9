// Which Redis server, as whom, and under which names: the URL of a Redis store.
#pragma once

#include <string>

namespace lambdaml::store {

struct RedisOptions {
  std::string url;  // without the password, for messages
  std::string host;
  int port = 0;
  bool use_tls = false;
  std::string ca_file;   // PEM; "": the system's authorities
  std::string user;      // "": the server's default user
  std::string password;  // "": none
  int database = 0;
  std::string key_prefix;  // "lambdaml/"
};

// Reads redis://[user][:password]@host[:port][/database][?prefix=…], or rediss://…[&ca=FILE] for
// TLS. Without `prefix`, keys begin with "lambdaml/". Where the URL has no password, that of the
// environment variable REDIS_PASSWORD is taken, if any.
// Errors: kInvalidArgument, without the password.
RedisOptions ParseRedisUrl(const std::string& url);

}  // namespace lambdaml::store
