#include "lambdaml/net/url.h"

#include <charconv>
#include <curl/curl.h>
#include <memory>
#include <optional>

#include "lambdaml/base/error.h"
#include "lambdaml/net/load_curl.h"

namespace lambdaml::net {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using UrlHandle = std::unique_ptr<CURLU, UrlDeleter>;

std::optional<std::string> Part(const UrlHandle& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return std::nullopt;
  std::string value(text);
  curl_free(text);
  return value;
}

}  // namespace

HttpUrl ParseHttpUrl(const std::string& url) {
  const auto refuse = [](const std::string& why) {
    return base::Error(base::ErrorCode::kInvalidArgument,
                       "not a URL of the form http(s)://host[:port]/path: " + why);
  };
  delayed::LoadCurl();
  const UrlHandle handle(curl_url());
  if (handle == nullptr) throw std::bad_alloc();
  // Without this, curl would take "localhost" for http://localhost.
  if (url.find("://") == std::string::npos) throw refuse("it has no scheme");
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, url.c_str(),
                                      CURLU_PATH_AS_IS | CURLU_NON_SUPPORT_SCHEME);
  if (code != CURLUE_OK) throw refuse(curl_url_strerror(code));
  const std::string scheme = Part(handle, CURLUPART_SCHEME).value_or("");
  if (scheme != "http" && scheme != "https") throw refuse("its scheme is " + scheme);
  if (Part(handle, CURLUPART_USER) || Part(handle, CURLUPART_PASSWORD)) {
    throw refuse("it holds a user name or password");
  }
  HttpUrl parts;
  parts.is_https = scheme == "https";
  parts.host = Part(handle, CURLUPART_HOST).value_or("");
  if (parts.host.empty()) throw refuse("it has no host");
  const std::string port = Part(handle, CURLUPART_PORT).value_or("");
  std::from_chars(port.data(), port.data() + port.size(), parts.port);
  if (parts.port < 1 || parts.port > 65535) throw refuse("port " + port + " does not exist");
  parts.path = Part(handle, CURLUPART_PATH).value_or("/");
  parts.has_query = Part(handle, CURLUPART_QUERY) || Part(handle, CURLUPART_FRAGMENT);
  return parts;
}

bool IsLocalHost(const HttpUrl& url) {
  const std::string& host = url.host;
  const auto is_address_in = [&](const char* prefix) {
    return host.starts_with(prefix) && host.find_first_not_of("0123456789.") == std::string::npos;
  };
  return host == "localhost" || host.ends_with(".localhost") || host == "[::1]" ||
         is_address_in("127.") || is_address_in("169.254.");
}

}  // namespace lambdaml::net
