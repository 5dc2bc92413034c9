#include "lambdaml/store/store_url.h"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <utility>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

constexpr int kPortMax = 65535;

[[noreturn]] void Refuse(std::string_view redacted, std::string_view what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, fmt::format("{}: {}", redacted, what));
}

// Splits `text` at the first `separator`; the second part is empty if there is none.
std::pair<std::string_view, std::string_view> Cut(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == text.npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned value = 0;
    const std::string_view digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2) return std::nullopt;
    decoded += static_cast<char>(value);
    i += 2;
  }
  return decoded;
}

int ParsePort(std::string_view redacted, std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port < 1 || port > kPortMax) {
    Refuse(redacted, fmt::format("\"{}\" is not a port (1 to {})", text, kPortMax));
  }
  return port;
}

HostPort ParseHost(std::string_view redacted, std::string_view text, int default_port) {
  std::string_view host;
  std::string_view port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == text.npos) Refuse(redacted, "the ']' of the address is missing");
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) Refuse(redacted, "after the ']' a ':' must come");
    port = rest.empty() ? rest : rest.substr(1);
    if (!rest.empty() && port.empty()) Refuse(redacted, "the port is missing");
  } else {
    std::tie(host, port) = Cut(text, ':');
    if (host.size() < text.size() && port.empty()) Refuse(redacted, "the port is missing");
  }
  if (host.empty()) Refuse(redacted, "the host is missing");
  return {std::string(host), port.empty() ? default_port : ParsePort(redacted, port)};
}

constexpr std::string_view kSchemeEnd = "://";

// A password with an unescaped '/' ends the authority too early, and would be shown as a path.
void CheckNoSlashInPassword(std::string_view scheme, std::string_view authority,
                            std::string_view after_scheme) {
  const size_t at = after_scheme.rfind('@');
  const size_t colon = authority.find(':');
  if (at == after_scheme.npos || at < authority.size() || colon == authority.npos) return;
  Refuse(fmt::format("{}://{}:***{}", scheme, authority.substr(0, colon), after_scheme.substr(at)),
         "a '/' or '?' in user or password must be written %2F or %3F");
}

}  // namespace

std::string WithoutPassword(std::string_view url) {
  const size_t scheme_end = url.find(kSchemeEnd);
  if (scheme_end == url.npos) return std::string(url);
  const size_t begin = scheme_end + kSchemeEnd.size();
  const std::string_view authority = url.substr(begin, url.find_first_of("/?", begin) - begin);
  const size_t at = authority.rfind('@');
  const size_t colon = authority.find(':');
  if (at == authority.npos || colon > at) return std::string(url);
  const std::string_view user = authority.substr(0, colon);
  return fmt::format("{}{}{}", url.substr(0, begin), user,
                     url.substr(begin + at + (user.empty() ? 1 : 0)));
}

StoreUrl StoreUrl::Parse(std::string_view url) {
  StoreUrl result;
  const size_t scheme_end = url.find(kSchemeEnd);
  if (scheme_end == url.npos || scheme_end == 0) Refuse(url, "no URL: it has no scheme://");
  result.scheme = url.substr(0, scheme_end);
  const std::string_view after_scheme = url.substr(scheme_end + kSchemeEnd.size());
  std::string_view rest = after_scheme.substr(0, after_scheme.find_first_of("/?"));
  CheckNoSlashInPassword(result.scheme, rest, after_scheme);
  result.redacted = url;
  // Passwords with an unescaped '@' are common enough: the last '@' ends them.
  if (const size_t at = rest.rfind('@'); at != rest.npos) {
    const auto [user, password] = Cut(rest.substr(0, at), ':');
    if (!password.empty()) {
      result.redacted = fmt::format("{}://{}:***{}", result.scheme, user, after_scheme.substr(at));
    }
    const auto decoded_user = PercentDecode(user);
    const auto decoded_password = PercentDecode(password);
    if (!decoded_user || !decoded_password) {
      Refuse(result.redacted, "a '%' in user or password must be written %25");
    }
    result.user = *decoded_user;
    result.password = *decoded_password;
    rest.remove_prefix(at + 1);
  }
  result.authority = rest;
  const auto [before_query, query] = Cut(after_scheme, '?');
  if (const size_t slash = before_query.find('/'); slash != before_query.npos) {
    result.path = before_query.substr(slash + 1);
  }
  for (std::string_view left = query; !left.empty();) {
    const auto [parameter, others] = Cut(left, '&');
    const auto [name, value] = Cut(parameter, '=');
    const auto decoded = PercentDecode(value);
    if (name.empty() || !decoded) Refuse(result.redacted, fmt::format("bad \"{}\"", parameter));
    if (!result.parameters.emplace(name, *decoded).second) {
      Refuse(result.redacted, fmt::format("{} is given twice", name));
    }
    left = others;
  }
  return result;
}

void StoreUrl::CheckParameters(std::span<const std::string_view> known) const {
  for (const auto& [name, value] : parameters) {
    if (std::ranges::find(known, name) != known.end()) continue;
    Refuse(redacted,
           fmt::format("no such parameter: {}; there are {}", name, fmt::join(known, ", ")));
  }
}

std::vector<HostPort> StoreUrl::Hosts(int default_port) const {
  std::vector<HostPort> hosts;
  std::string_view left = authority;
  while (true) {
    const size_t comma = left.find(',');
    hosts.push_back(ParseHost(redacted, left.substr(0, comma), default_port));
    if (comma == left.npos) return hosts;
    left.remove_prefix(comma + 1);
  }
}

}  // namespace lambdaml::store
