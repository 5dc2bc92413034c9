// HTTP messages as plain data, for the small client and server of this module.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lambdaml::faas {

struct HttpHeader {
  std::string name;
  std::string value;
};
using HttpHeaders = std::vector<HttpHeader>;

// The value of the first header of that name (in any case), or "" if there is none.
std::string_view FindHeader(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;
  std::string target;  // path and query
  HttpHeaders headers;
  std::string body;
};

struct HttpResponse {
  int status = 200;
  HttpHeaders headers;
  std::string body;
};

// The largest body either side reads: more than any payload limit of Lambda, so that those limits
// are answered as Lambda does; beyond this one a request is refused unread.
inline constexpr size_t kHttpBodySizeMaxBytes = 16 * 1024 * 1024;

}  // namespace lambdaml::faas
