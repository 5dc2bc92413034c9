// Pure functions on the text of Memcached's protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lambdaml/store/store_url.h"

namespace lambdaml::store {

// The parts of `text` before and after the first `separator`; the second is empty if there is none.
std::pair<std::string_view, std::string_view> CutAt(std::string_view text, char separator);

// The words of a line, separated by single spaces.
std::vector<std::string_view> SplitWords(std::string_view line);

// Decimal digits and nothing else.
std::optional<uint64_t> ParseUnsigned(std::string_view text);

// What ElastiCache answers to "config get cluster": a line with the version of the list, and one
// with the nodes as host|address|port, separated by spaces. Nothing if it is not that, or if there
// is no node. The nodes are given by name, which stays when a node is replaced.
std::optional<std::vector<HostPort>> ParseClusterConfig(std::string_view text);

struct MemcachedListedItem {
  std::string encoded_key;  // all but A-Z a-z 0-9 - . _ ~ percent-encoded
  int64_t expires_s = 0;    // Unix time on the server's clock; -1: never
};

// A line of "lru_crawler metadump": key=<key> exp=<time> <name>=<value> …
std::optional<MemcachedListedItem> ParseListedItem(std::string_view line);

// An answer as messages show it: its beginning, in printable characters.
std::string Shown(std::string_view answer);

}  // namespace lambdaml::store
