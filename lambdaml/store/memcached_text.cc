#include "lambdaml/store/memcached_text.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace lambdaml::store {
namespace {

constexpr size_t kShownMaxBytes = 80;
constexpr uint64_t kPortMax = 65535;

}  // namespace

std::pair<std::string_view, std::string_view> CutAt(std::string_view text, char separator) {
  const size_t at = text.find(separator);
  if (at == text.npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::vector<std::string_view> SplitWords(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == line.npos) return words;
    line.remove_prefix(space + 1);
  }
}

std::optional<uint64_t> ParseUnsigned(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<std::vector<HostPort>> ParseClusterConfig(std::string_view text) {
  const auto [version, rest] = CutAt(text, '\n');
  const auto [list, end] = CutAt(rest, '\n');
  if (!ParseUnsigned(version) || !end.empty()) return std::nullopt;
  std::vector<HostPort> nodes;
  for (const std::string_view node : SplitWords(list)) {
    const auto [host, address_and_port] = CutAt(node, '|');
    const auto [address, port_text] = CutAt(address_and_port, '|');
    const auto port = ParseUnsigned(port_text);
    if (host.empty() || !port || *port < 1 || *port > kPortMax) return std::nullopt;
    nodes.push_back({std::string(host), static_cast<int>(*port)});
  }
  return nodes;
}

std::optional<MemcachedListedItem> ParseListedItem(std::string_view line) {
  const std::vector<std::string_view> words = SplitWords(line);
  if (words.size() < 2 || !words[0].starts_with("key=") || !words[1].starts_with("exp=")) {
    return std::nullopt;
  }
  const std::string_view key = words[0].substr(4);
  const std::string_view expiry = words[1].substr(4);
  if (key.empty()) return std::nullopt;
  if (expiry == "-1") return MemcachedListedItem{std::string(key), -1};
  const auto time = ParseUnsigned(expiry);
  if (!time || *time > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return MemcachedListedItem{std::string(key), static_cast<int64_t>(*time)};
}

std::string Shown(std::string_view answer) {
  std::string shown(answer.substr(0, kShownMaxBytes));
  std::ranges::replace_if(
      shown, [](char c) { return c < ' ' || c > '~'; }, '?');
  if (answer.size() > kShownMaxBytes) shown += "…";
  return shown;
}

}  // namespace lambdaml::store
