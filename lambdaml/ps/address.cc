#include "lambdaml/ps/address.h"

#include <charconv>
#include <fmt/format.h>

#include "lambdaml/base/error.h"

namespace lambdaml::ps {
namespace {

constexpr std::string_view kPlain = "ps://";
constexpr std::string_view kTls = "pss://";

[[noreturn]] void Refuse(std::string_view url, std::string_view why) {
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    fmt::format("{}: {}; write ps://host:port", url, why));
}

// Cuts what follows `separator` off `text` and returns it; "" if there is none.
std::string_view CutOff(char separator, std::string_view* text) {
  const size_t at = text->find(separator);
  if (at == text->npos) return {};
  const std::string_view rest = text->substr(at + 1);
  *text = text->substr(0, at);
  return rest;
}

int ParsePort(std::string_view url, std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > 65535) {
    Refuse(url, fmt::format("\"{}\" is no port", text));
  }
  return port;
}

void ReadParameter(std::string_view url, std::string_view parameter, ServerAddress* address) {
  const std::string_view value = CutOff('=', &parameter);
  if (!address->use_tls) Refuse(url, "only pss:// has parameters");
  if (value.empty()) Refuse(url, fmt::format("parameter {} has no value", parameter));
  if (parameter == "ca") {
    address->ca_file = value;
  } else if (parameter == "cert") {
    address->cert_file = value;
  } else if (parameter == "key") {
    address->key_file = value;
  } else {
    Refuse(url, fmt::format("there is no parameter {}: ca, cert, key", parameter));
  }
}

}  // namespace

bool IsPsUrl(std::string_view url) { return url.starts_with(kPlain) || url.starts_with(kTls); }

ServerAddress AddressFromUrl(std::string_view url, const net::Environment& environment) {
  ServerAddress address = {.port = kDefaultPort, .use_tls = url.starts_with(kTls)};
  std::string_view rest = url;
  if (IsPsUrl(url)) rest.remove_prefix(address.use_tls ? kTls.size() : kPlain.size());
  // What stands before an '@' would be a password, and may be shown nowhere.
  if (rest.find('@') != rest.npos) {
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      fmt::format("a parameter server's URL has no user and password: set {} to "
                                  "its token",
                                  kTokenVariable));
  }
  std::string_view parameters = CutOff('?', &rest);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.starts_with('[')) {
    rest.remove_prefix(1);
    const std::string_view after = CutOff(']', &rest);
    if (!after.empty() && after.front() != ':') Refuse(url, "a ':' and a port must follow ']'");
    if (!after.empty()) address.port = ParsePort(url, after.substr(1));
  } else if (const size_t colon = rest.find(':'); colon != rest.npos) {
    address.port = ParsePort(url, CutOff(':', &rest));
  }
  if (rest.empty() || rest.find_first_of("/ ") != rest.npos) Refuse(url, "it names no host");
  address.host = rest;
  while (!parameters.empty()) {
    std::string_view parameter = parameters;
    parameters = CutOff('&', &parameter);
    ReadParameter(url, parameter, &address);
  }
  if (address.cert_file.empty() && !address.key_file.empty()) Refuse(url, "key needs cert");
  address.token = environment(kTokenVariable).value_or("");
  return address;
}

}  // namespace lambdaml::ps
