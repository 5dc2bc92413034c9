// The parts of an HTTP URL.
#pragma once

#include <string>

namespace lambdaml::net {

struct HttpUrl {
  bool is_https = false;
  std::string host;  // an IPv6 address in brackets
  int port = 0;      // the scheme's own if none is given
  std::string path;  // as it stands there, encoded; "/" if there is none
  bool has_query = false;

  // For messages: "127.0.0.1:9000".
  std::string authority() const { return host + ':' + std::to_string(port); }
  // As in a Host header: without the scheme's own port.
  std::string host_header() const { return port == (is_https ? 443 : 80) ? host : authority(); }
};

// Errors: kInvalidArgument for what is not an http:// or https:// URL with a host, or names a user
// or password. The message shows no more of the URL than its scheme.
HttpUrl ParseHttpUrl(const std::string& url);

// Whether the host is this machine or on its link: localhost, 127.0.0.0/8, [::1], 169.254.0.0/16.
bool IsLocalHost(const HttpUrl& url);

}  // namespace lambdaml::net
